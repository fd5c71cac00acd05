-- a request belongs to the system and the account that its step was sent to
ALTER TABLE dataflows.step
	ADD COLUMN account_hash int,
	ADD COLUMN elsewhere boolean;
