"""Draws a release while it goes on, and what it came to: live, plain or JSON. It decides nothing."""

from deploy.view.backups import Backup, show_backups
from deploy.view.base import View
from deploy.view.choose import Mode, open_view
from deploy.view.clean import clean
from deploy.view.colour import paint
from deploy.view.colour import wanted as colours
from deploy.view.doctor import Finding, Group, Level, Report
from deploy.view.errors import show_error
from deploy.view.forecast import Commit, Forecast, Remark, Revision, Stop, Way, show_forecast
from deploy.view.history import HistoryRow, show_history
from deploy.view.status import Status, show_status
from deploy.view.summary import Change, Result, result_from_state

__all__ = [
    "Backup",
    "Change",
    "Commit",
    "Finding",
    "Forecast",
    "Group",
    "HistoryRow",
    "Level",
    "Mode",
    "Remark",
    "Report",
    "Result",
    "Revision",
    "Status",
    "Stop",
    "View",
    "Way",
    "clean",
    "colours",
    "open_view",
    "paint",
    "result_from_state",
    "show_backups",
    "show_error",
    "show_forecast",
    "show_history",
    "show_status",
]
