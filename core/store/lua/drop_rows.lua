-- Removes audit rows with their index. Only deletes, so it works when the server's memory is full.
-- KEYS 1–4 audit   ARGV 1 limits of the audit  2… ids of rows
-- Returns how many were removed.
return drop_rows(2)
