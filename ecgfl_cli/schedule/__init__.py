"""The nightly `ecgfl join`, as the machine's own scheduler wants it.

Text only; nothing here runs anything but `crontab`.
"""
