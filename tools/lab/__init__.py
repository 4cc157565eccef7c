"""The lab: the hosts of ansible/inventories/lab as containers that run systemd, and the plays on them.

What containers cannot show: a clock of their own (chrony is configured and not started), kernel settings, a reboot.
Where the engine's host has no cgroup v2 alone, memory limits of units are accepted and have no effect.
"""
