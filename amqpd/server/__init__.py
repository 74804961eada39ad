"""The shell around the core: sockets, signals, time. The only part that waits for anything.

pump         the octets of one connection, between its socket and its protocol
listening    sockets that listen
scrape       the HTTP side of the metrics
measures     how late the event loop is, how long garbage collections take, what the disk does
observation  what is known of the server, for the metrics and for who asks after its health
persister    the threads in which the store is written and read
watch        memory and disk, measured
daemon       the life of the process
ping         whether a broker is there, asked from another process
"""
