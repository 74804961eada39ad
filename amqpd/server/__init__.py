"""The shell around the core: sockets, signals, time. The only part that waits for anything.

pump       the octets of one connection, between its socket and its protocol
listening  sockets that listen
scrape     the HTTP side of the metrics
persister  the threads in which the store is written and read
watch      memory and disk, measured
daemon     the life of the process
"""
