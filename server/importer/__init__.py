"""The importer: files of other systems become events, in bulk, without loss or duplicates.

``readers`` turn a file into Arrow tables, ``mapping`` says which column is what, ``normalise``
brings a table into the form the engine takes, ``run`` streams it in and keeps the place, so that
an import that was stopped or killed goes on where it was. Rows that cannot be taken in go to a
file with their reason; they never stop the rest.
"""
