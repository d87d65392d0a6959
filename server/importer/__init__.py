"""The importer: files of other systems become events, in bulk, without loss or duplicates.

``readers`` turn a file into Arrow tables, ``mapping`` says which column is what, ``normalise``
brings a table into the form the engine takes, and ``run`` streams it in, in bulk. What is no table
or goes to a collector is made into ``parcels``: native batches whose ids follow from the file
(``tables`` and ``packing`` make them of rows, ``sensors_lines`` of records of Sensors Analytics).
``shipping`` brings parcels to a target, ``local`` or ``remote``. ``place`` keeps how far the target
has acknowledged, so that an import that was stopped or killed goes on exactly there. Rows that
cannot be taken in go to a file with their reason (``rejects``); they never stop the rest.
"""
