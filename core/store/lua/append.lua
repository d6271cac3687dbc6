-- Appends audit rows.
-- KEYS 1–4 audit   ARGV 1 limits  2… audit rows, each a JSON list of names and values
-- Returns their ids.
return append_rows(2)
