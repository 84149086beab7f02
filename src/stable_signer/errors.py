"""The one exception family that reaches users: each message says what was wrong and what to do."""


class StableSignerError(Exception):
    """Bad input or an environment that cannot do what was asked.

    The message is one sentence for the person who typed the command: what was wrong, then what to do.
    The command line prints it and exits with code 2; a server answers 4xx with it.
    """
