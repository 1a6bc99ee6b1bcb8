"""For all tests: what the shell that started them may have changed."""

import signal

# A shell that starts a command in the background has it ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
