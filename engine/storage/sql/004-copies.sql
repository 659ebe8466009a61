-- Format 4: a copy that Holdfast has made knows that it is one, so that it never passes for the file it was made of.
ALTER TABLE node ADD COLUMN copied TEXT;  -- JSON: name, note, made_ms, by what; NULL in a file that nodes write to
