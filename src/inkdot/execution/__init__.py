"""Running one task on many slides: in this process, in a pool of processes, or on a Ray cluster.

- ``task``: one task on one slide; every error becomes the result of that slide.
- ``runner``: a task on a batch of slides, with progress bar, ledger and summary.
- ``backends``: chooses the executor from the settings.
- ``process_pool``: worker processes on this machine, with a heartbeat each.
- ``ray_settings``, ``ray_pool``: tasks on a Ray cluster.
- ``watchdog``: heartbeats, by which a hung slide is found.
- ``progress``: whether a process moves, by heartbeats, processor time and bytes read.
- ``prefetch``: reads ahead in a thread.
- ``hardware``: cores, memory and installed packages of this machine.
"""
