-- The tables and functions of a Siltstone metadata store, format 1. Run once, in the first schema of the search path.
-- A function is never changed: a change gets a new number, so that programs of two releases can share one store.

-- One row.
CREATE TABLE siltstone_meta (
    format int NOT NULL,
    -- Snapshots and read versions below it are too old: what only they could see may be gone.
    horizon bigint NOT NULL,
    -- Rows of siltstone_commit up to here are gone.
    told bigint NOT NULL
);
INSERT INTO siltstone_meta VALUES (1, 0, 0);

-- Who may commit: a row per connection that writes. To remove one, under the lock, makes sure that whatever is still
-- on its way from that connection never happens.
CREATE TABLE siltstone_writer (
    id bytea PRIMARY KEY,
    seen timestamptz NOT NULL
);

-- The latest commits. The greatest version is the store's version, and its row always stays.
CREATE TABLE siltstone_commit (
    version bigint PRIMARY KEY,
    writer bytea NOT NULL,
    -- The writer's own number of the commit.
    number bigint NOT NULL,
    at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- Every value that a snapshot may still show. A key's value at version v is that of its row with the greatest version up to v;
-- none, or NULL, is no value.
CREATE TABLE siltstone_entry (
    key bytea NOT NULL,
    version bigint NOT NULL,
    value bytea,
    -- Whether the row can't have replaced another one: its key holds its own version.
    fresh boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE UNIQUE INDEX siltstone_entry_key ON siltstone_entry (key, version DESC);
CREATE INDEX siltstone_entry_changed ON siltstone_entry (version) WHERE NOT fresh;

-- The same for keys that are too long for an index: correct, not fast.
CREATE TABLE siltstone_long (
    key bytea NOT NULL,
    version bigint NOT NULL,
    value bytea,
    fresh boolean NOT NULL
);
CREATE INDEX siltstone_long_changed ON siltstone_long (version);

-- Ranges that count as written: cleared ones and declared ones.
CREATE TABLE siltstone_range (
    version bigint NOT NULL,
    first bytea NOT NULL,
    after bytea NOT NULL
);
CREATE INDEX siltstone_range_version ON siltstone_range (version);

-- Values are mostly compressed data. What is too long for a row goes to pages of its own, untouched.
ALTER TABLE siltstone_entry ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE siltstone_long ALTER COLUMN value SET STORAGE EXTERNAL;

-- Takes the lock under which all commits are made, until the transaction ends. Later statements see every commit before.
CREATE FUNCTION siltstone_lock_1() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1397509204, 'siltstone_commit'::regclass::oid::int)
$$;

-- A new writer in place of an old one, which can do nothing from here on.
CREATE FUNCTION siltstone_writer_1(old bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    fresh bytea := uuid_send(gen_random_uuid());
BEGIN
    PERFORM siltstone_lock_1();
    DELETE FROM siltstone_writer WHERE id = old OR seen < now() - interval '1 day';
    INSERT INTO siltstone_writer VALUES (fresh, now());
    RETURN fresh;
END
$$;

-- Little-endian, wrapping; of other than 8 bytes: cut or filled with zeros.
CREATE FUNCTION siltstone_add_1(old bytea, delta bigint) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    big_endian bytea := int8send(delta);
    sum bytea := big_endian;
    carry int := 0;
BEGIN
    old := substr(coalesce(old, ''), 1, 8);
    FOR at IN 0..7 LOOP
        carry := carry + get_byte(big_endian, 7 - at);
        IF at < octet_length(old) THEN
            carry := carry + get_byte(old, at);
        END IF;
        sum := set_byte(sum, at, carry & 255);
        carry := carry >> 8;
    END LOOP;
    RETURN sum;
END
$$;

-- What siltstone_commit_1 does to a key that is too long for an index.
CREATE FUNCTION siltstone_put_long_1(put bytea, at bigint, put_value bytea, is_fresh boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM siltstone_long WHERE key = put AND version = at;
    INSERT INTO siltstone_long VALUES (put, at, put_value, is_fresh);
END
$$;

CREATE FUNCTION siltstone_get_1(wanted bytea) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF octet_length(wanted) > 2000 THEN
        RETURN (SELECT value FROM siltstone_long WHERE key = wanted ORDER BY version DESC LIMIT 1);
    END IF;
    RETURN (SELECT value FROM siltstone_entry WHERE key = wanted ORDER BY version DESC LIMIT 1);
END
$$;

-- Whether something in the range was written after the version.
CREATE FUNCTION siltstone_written_1(since bigint, range_first bytea, range_after bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM siltstone_entry WHERE key >= range_first AND key < range_after AND version > since)
        OR EXISTS (SELECT FROM siltstone_range WHERE version > since AND first < range_after AND after > range_first)
        OR EXISTS (SELECT FROM siltstone_long WHERE version > since AND key >= range_first AND key < range_after);
END
$$;

-- Clears a range as of a version, which is the last one.
CREATE FUNCTION siltstone_clear_1(at bigint, range_first bytea, range_after bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO siltstone_range VALUES (at, range_first, range_after);
    INSERT INTO siltstone_entry (key, version, value, fresh)
        SELECT live.key, at, NULL, false FROM (
            SELECT DISTINCT ON (e.key) e.key, e.value FROM siltstone_entry e
            WHERE e.key >= range_first AND e.key < range_after ORDER BY e.key, e.version DESC
        ) live WHERE live.value IS NOT NULL
        ON CONFLICT (key, version) DO UPDATE SET value = NULL, fresh = false;
    PERFORM siltstone_put_long_1(live.key, at, NULL, false) FROM (
        SELECT DISTINCT ON (l.key) l.key, l.value FROM siltstone_long l
        WHERE l.key >= range_first AND l.key < range_after ORDER BY l.key, l.version DESC
    ) live WHERE live.value IS NOT NULL;
END
$$;

-- Commits a group of transactions, each under a version of its own, all at once or none. The arrays are the steps of the
-- transactions, one after the other; what their columns hold is said in steps.rs. Returns a number per transaction:
-- its version, or -1: another one changed what it read, -2: its read version is too old, -3: its read version is in the future.
CREATE FUNCTION siltstone_commit_1(
    writer_id bytea, first_number bigint, kinds smallint[], numbers bigint[], a bytea[], b bytea[], c bytea[], touched text
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    step record;
    last bigint;
    next bigint;
    own bigint := first_number - 1;
    read_version bigint;
    reads boolean;
    -- Of the transaction in hand: 0 not decided, 1 being written, 2 refused.
    state int := 2;
    results bigint[] := '{}';
    stamp bytea;
    target bytea;
    new_value bytea;
BEGIN
    PERFORM siltstone_lock_1();
    PERFORM FROM siltstone_writer WHERE id = writer_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the writer has been replaced' USING ERRCODE = 'SI001';
    END IF;
    SELECT coalesce(max(version), 0) INTO last FROM siltstone_commit;
    FOR step IN SELECT * FROM unnest(kinds, numbers, a, b, c) AS s (kind, number, a, b, c) LOOP
        IF step.kind = 0 THEN
            -- A transaction begins.
            own := own + 1;
            read_version := step.number;
            reads := false;
            IF read_version > last THEN
                state := 2;
                results := results || -3::bigint;
            ELSE
                state := 0;
                results := results || coalesce(read_version, last);
            END IF;
            CONTINUE;
        END IF;
        CONTINUE WHEN state = 2;
        IF step.kind = 1 THEN
            reads := true;
            IF siltstone_written_1(read_version, step.a, step.b) THEN
                state := 2;
                results[cardinality(results)] := -1;
            END IF;
            CONTINUE;
        END IF;
        IF state = 0 THEN
            -- Only after the reads: if the horizon has not passed the read version by now, nothing that they had to see was removed.
            IF reads AND read_version < (SELECT horizon FROM siltstone_meta) THEN
                state := 2;
                results[cardinality(results)] := -2;
                CONTINUE;
            END IF;
            state := 1;
            next := last + 1;
            last := next;
            INSERT INTO siltstone_commit VALUES (next, writer_id, own, clock_timestamp());
            stamp := int8send(next) || '\x0000'::bytea;
            results[cardinality(results)] := next;
        END IF;
        IF step.kind = 2 THEN
            INSERT INTO siltstone_range VALUES (next, step.a, step.b);
            CONTINUE;
        ELSIF step.kind = 8 THEN
            PERFORM siltstone_clear_1(next, step.a, step.b);
            CONTINUE;
        ELSIF step.kind = 9 THEN
            -- A write that changes nothing.
            CONTINUE;
        END IF;
        target := step.a;
        new_value := step.c;
        IF step.kind = 4 THEN
            target := step.a || stamp || step.b;
        ELSIF step.kind = 5 THEN
            new_value := step.b || stamp || step.c;
        ELSIF step.kind = 6 THEN
            new_value := siltstone_add_1(siltstone_get_1(step.a), step.number);
        END IF;
        IF octet_length(target) > 2000 THEN
            PERFORM siltstone_put_long_1(target, next, new_value, step.kind = 4);
        ELSE
            INSERT INTO siltstone_entry (key, version, value, fresh) VALUES (target, next, new_value, step.kind = 4)
                ON CONFLICT (key, version) DO UPDATE SET value = excluded.value;
        END IF;
    END LOOP;
    IF touched IS NOT NULL THEN
        PERFORM pg_notify('siltstone_' || 'siltstone_commit'::regclass::oid, touched);
    END IF;
    RETURN results;
END
$$;

-- Removes what no snapshot younger than `keep` can see, of at most `most` commits. Returns for how many it did; -1 if another
-- does it just now.
CREATE FUNCTION siltstone_tidy_1(writer_id bytea, keep interval, keep_told interval, most int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    old bigint;
    old_told bigint;
    last bigint;
    target bigint;
    target_told bigint;
BEGIN
    UPDATE siltstone_writer SET seen = now() WHERE id = writer_id AND seen < now() - interval '1 hour';
    IF NOT pg_try_advisory_xact_lock(1397509205, 'siltstone_commit'::regclass::oid::int) THEN
        RETURN -1;
    END IF;
    SELECT horizon, told INTO old, old_told FROM siltstone_meta;
    SELECT coalesce(max(version), 0) INTO last FROM siltstone_commit;
    SELECT max(version) INTO target FROM (
        SELECT version, at FROM siltstone_commit WHERE version > old ORDER BY version LIMIT most
    ) commits WHERE at < clock_timestamp() - keep;
    SELECT max(version) INTO target_told FROM (
        SELECT version, at FROM siltstone_commit WHERE version > old_told ORDER BY version LIMIT most
    ) commits WHERE at < clock_timestamp() - keep_told;
    target := coalesce(target, old);
    -- Never past the horizon, and never the last one: it is the store's version.
    target_told := least(coalesce(target_told, old_told), target, last - 1);
    IF target > old THEN
        DELETE FROM siltstone_entry e USING siltstone_entry n
            WHERE n.version > old AND n.version <= target AND NOT n.fresh AND e.key = n.key AND e.version < n.version;
        DELETE FROM siltstone_entry WHERE version > old AND version <= target AND NOT fresh AND value IS NULL;
        DELETE FROM siltstone_long e USING siltstone_long n
            WHERE n.version > old AND n.version <= target AND e.key = n.key AND e.version < n.version;
        DELETE FROM siltstone_long WHERE version > old AND version <= target AND value IS NULL;
        DELETE FROM siltstone_range WHERE version <= target;
    END IF;
    IF target_told > old_told THEN
        DELETE FROM siltstone_commit WHERE version <= target_told;
    END IF;
    IF target > old OR target_told > old_told THEN
        UPDATE siltstone_meta SET horizon = target, told = target_told;
    END IF;
    RETURN greatest(target - old, target_told - old_told);
END
$$;
