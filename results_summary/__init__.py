"""The morning: pure checks over the record, and the report that is rendered from them."""
