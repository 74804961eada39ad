"""The shell around the core: sockets, signals, time. The only part that waits for anything.

pump       the octets of one connection, between its socket and its protocol
listening  sockets that listen
scrape     the HTTP side of the metrics
daemon     the life of the process
"""
