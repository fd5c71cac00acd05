-- an undo has headers of its own, over those of its step
ALTER TABLE dataflows.step ADD COLUMN undo_headers jsonb;
