"""The nightly `ecgfl join` for cron, systemd and the Windows Task Scheduler.

It writes text; the only program that it runs is `crontab`.
"""
