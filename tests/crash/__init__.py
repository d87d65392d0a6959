"""What survives when things go wrong: kill, torn writes, flipped bits, full disks, failed syncs.

``fault_files``  file systems that record, fail or kill at the Nth call
``disk``         every state that a power cut may legally leave, from a recorded run
``miniature``    the smallest engine there is over WAL + manifest, to test those two alone
``scenario``     the whole engine under a scripted client that counts acknowledgements
``killer``       kill -9 loop: ``python -m tests.crash.killer --cycles 500``
``power``        power cuts of a real ext4: ``python -m tests.crash.power --cycles 200`` (root)
"""
