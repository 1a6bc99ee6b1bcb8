"""``python -m deploy``: what ``fab`` is, where there is no fabfile.py yet."""

from fabric.executor import Executor
from fabric.main import Config, Fab

from deploy import __version__
from deploy.tasks import namespace

if __name__ == "__main__":
    Fab(
        name="backstay",
        binary="python -m deploy",
        version=__version__,
        namespace=namespace,
        executor_class=Executor,
        config_class=Config,
    ).run()
