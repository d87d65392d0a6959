"""Names that a project defines: virtual events (a union of filtered events) and virtual properties
(a typed expression over properties), usable wherever an event or a property is.
"""
