"""The lab: the hosts of ansible/inventories/lab as containers that run systemd, and the plays on them.

Containers cannot test clocks (chrony is configured but not started), kernel settings and reboots.
If the engine's host does not use cgroup v2 only, memory limits of units are accepted but have no effect.
"""
