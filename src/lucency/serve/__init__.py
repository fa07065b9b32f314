"""HTTP around a reader: one process listens, others read; queues are bounded.

    client ─► middleware ─► routes ─► request_body ─► pool ─► worker (a process) ─► reader

Films are personal data: they are never written to disk, and neither they nor their names are logged, counted or
quoted in an error. A film that hangs or crashes its decoder costs a worker, which is replaced, not the server.
"""
