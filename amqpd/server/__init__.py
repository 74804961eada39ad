"""The shell around the core: sockets, signals, time, threads. The only part that waits for anything.

    pump      the octets of one connection, between its socket and its protocol
    listener  the connections there are
    ticker    the passing of time
    scrape    the HTTP side of the metrics
    daemon    the life of the process
"""
