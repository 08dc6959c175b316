-- The catalog's tables on every shard. Idempotent; run by the owner after the shard schema (`tidemark-shards init --schema`).
CREATE SCHEMA IF NOT EXISTS catalog;

-- sku is a natural key: its bucket is that of the key {<sku>}, so that row and cache key always share their bucket.
CREATE TABLE IF NOT EXISTS catalog.product (
  bucket      int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  sku         text   COLLATE "C" NOT NULL CHECK (sku ~ '^[a-z0-9][a-z0-9+.-]*$' AND length(sku) <= 128),
  version     text   NOT NULL DEFAULT '',
  section     text   NOT NULL DEFAULT '',
  description text   NOT NULL DEFAULT '',
  size_bytes  bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
  price_cents bigint NOT NULL DEFAULT 0 CHECK (price_cents >= 0),
  stock       bigint NOT NULL DEFAULT 0 CHECK (stock >= 0),
  row_version bigint NOT NULL DEFAULT 1,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, sku)
);

-- Lists ask every shard for the next skus of a section, or from a prefix on; both are short ranges of these.
CREATE INDEX IF NOT EXISTS product_section ON catalog.product (section, sku) INCLUDE (bucket);
CREATE INDEX IF NOT EXISTS product_sku ON catalog.product (sku) INCLUDE (bucket);

-- Whoever updates a row, psql too, gives it a new version: that is what tells an old answer from a new one.
CREATE OR REPLACE FUNCTION catalog.bump_row_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.row_version := OLD.row_version + 1;
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER product_row_version BEFORE UPDATE ON catalog.product
  FOR EACH ROW EXECUTE FUNCTION catalog.bump_row_version();

-- What orders have taken of a product's stock: one row for each product of each order, in the product's bucket.
--
--               reserve                     confirm
--   (none) ───────────────▶ held ───────────────────────────▶ confirmed       stock was taken by reserve
--      │                     │ expire                             ▲  │
--      │        stock back   ▼              confirm takes again   │  │
--      ├──────────────────▶ expired ──────────────────────────────┘  │
--      │ release             │ release          release: stock back  │
--      └─────────────────────┴────▶ released ◀───────────────────────┘   (from held too)
--
-- `released` is final: a message that comes late finds it and takes nothing. That is why release leaves a row even where
-- there was none. Rows in `held` and `confirmed` have their quantity taken from product.stock, the others have not, at
-- every commit: stock at first = stock + sum(quantity) of these two. Every function locks the reservation before the
-- product, so that two of them cannot wait for each other.
-- No foreign key to the product: a product may be deleted while orders remember it; stock of a deleted one goes nowhere.
CREATE TABLE IF NOT EXISTS catalog.reservation (
  bucket      int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  sku         text   COLLATE "C" NOT NULL,
  order_id    bigint NOT NULL CHECK (order_id > 0),
  quantity    bigint NOT NULL CHECK (quantity > 0),
  price_cents bigint NOT NULL DEFAULT 0 CHECK (price_cents >= 0),  -- of one, when it was reserved
  state       text   NOT NULL CHECK (state IN ('held', 'confirmed', 'expired', 'released')),
  expires_at  timestamptz NOT NULL,                                -- of a held one
  created_at  timestamptz NOT NULL DEFAULT now(),
  changed_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, sku, order_id)
);
CREATE INDEX IF NOT EXISTS reservation_expiry ON catalog.reservation (expires_at) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS reservation_gone ON catalog.reservation (changed_at) WHERE state IN ('expired', 'released');

-- reserved (also again, with the price of the first time) | out_of_stock | no_product | gone (it was reserved once and
-- has expired or been released) | conflict (the same order has reserved another quantity).
CREATE OR REPLACE FUNCTION catalog.reserve(for_bucket int, for_sku text, for_order bigint, want bigint, ttl_ms bigint,
                                           OUT outcome text, OUT price bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  known catalog.reservation;
  left_over bigint;
BEGIN
  SELECT stock, price_cents INTO left_over, price FROM catalog.product WHERE bucket = for_bucket AND sku = for_sku;
  IF NOT FOUND THEN
    outcome := 'no_product';
    RETURN;
  END IF;
  SELECT * INTO known FROM catalog.reservation
   WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order FOR UPDATE;
  IF NOT FOUND THEN
    -- Sold out is told without a write: many ask for the same thing at once.
    IF left_over < want THEN
      outcome := 'out_of_stock';
      RETURN;
    END IF;
    INSERT INTO catalog.reservation (bucket, sku, order_id, quantity, price_cents, state, expires_at)
    VALUES (for_bucket, for_sku, for_order, want, price, 'held', clock_timestamp() + ttl_ms * interval '1 ms')
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      UPDATE catalog.product SET stock = stock - want
       WHERE bucket = for_bucket AND sku = for_sku AND stock >= want RETURNING price_cents INTO price;
      IF FOUND THEN
        UPDATE catalog.reservation SET price_cents = price
         WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order AND price_cents <> price;
        outcome := 'reserved';
      ELSE
        DELETE FROM catalog.reservation WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order;
        outcome := 'out_of_stock';
      END IF;
      RETURN;
    END IF;
    -- The same order's request overtook this one.
    SELECT * INTO known FROM catalog.reservation
     WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order FOR UPDATE;
  END IF;
  price := known.price_cents;
  outcome := CASE WHEN known.state IN ('expired', 'released') THEN 'gone'
                  WHEN known.quantity <> want THEN 'conflict' ELSE 'reserved' END;
END $$;

-- confirmed | re_reserved (it had expired, or never came; stock was taken again) | out_of_stock | no_product |
-- released (it was released: never again).
CREATE OR REPLACE FUNCTION catalog.confirm(for_bucket int, for_sku text, for_order bigint, want bigint, at_price bigint,
                                           OUT outcome text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  known_state text;
BEGIN
  SELECT state INTO known_state FROM catalog.reservation
   WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order FOR UPDATE;
  IF NOT FOUND THEN
    -- A row to lock in any case, so that a release at the same time comes before this or after it.
    INSERT INTO catalog.reservation (bucket, sku, order_id, quantity, price_cents, state, expires_at)
    VALUES (for_bucket, for_sku, for_order, want, at_price, 'expired', clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT state INTO STRICT known_state FROM catalog.reservation
     WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order FOR UPDATE;
  END IF;
  IF known_state IN ('confirmed', 'released') THEN
    outcome := known_state;
    RETURN;
  END IF;
  IF known_state = 'expired' THEN
    UPDATE catalog.product SET stock = stock - want WHERE bucket = for_bucket AND sku = for_sku AND stock >= want;
    IF NOT FOUND THEN
      outcome := CASE WHEN EXISTS (SELECT FROM catalog.product WHERE bucket = for_bucket AND sku = for_sku)
                      THEN 'out_of_stock' ELSE 'no_product' END;
      RETURN;
    END IF;
    outcome := 're_reserved';
  ELSE
    outcome := 'confirmed';
  END IF;
  UPDATE catalog.reservation SET state = 'confirmed', changed_at = clock_timestamp()
   WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order;
END $$;

-- released (stock was given back) | was_released (there was nothing to give back).
CREATE OR REPLACE FUNCTION catalog.release(for_bucket int, for_sku text, for_order bigint, had bigint,
                                           OUT outcome text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  known catalog.reservation;
BEGIN
  INSERT INTO catalog.reservation (bucket, sku, order_id, quantity, state, expires_at)
  VALUES (for_bucket, for_sku, for_order, had, 'released', clock_timestamp()) ON CONFLICT DO NOTHING;
  outcome := 'was_released';
  IF FOUND THEN
    RETURN;
  END IF;
  SELECT * INTO STRICT known FROM catalog.reservation
   WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order FOR UPDATE;
  IF known.state = 'released' THEN
    RETURN;
  END IF;
  UPDATE catalog.reservation SET state = 'released', changed_at = clock_timestamp()
   WHERE bucket = for_bucket AND sku = for_sku AND order_id = for_order;
  IF known.state IN ('held', 'confirmed') THEN
    UPDATE catalog.product SET stock = stock + known.quantity WHERE bucket = for_bucket AND sku = for_sku;
    outcome := 'released';
  END IF;
END $$;

-- Gives back what was held too long, at most so many reservations; how many there were. Only in buckets that this shard
-- owns: a copy of a bucket that has moved away, or is on its way here, is not ours to change.
CREATE OR REPLACE FUNCTION catalog.expire_reservations(count_max int) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  part record;
  expired bigint := 0;
BEGIN
  FOR part IN
    WITH due AS (
      SELECT r.bucket, r.sku, r.order_id, b.epoch FROM catalog.reservation r JOIN shard.bucket b USING (bucket)
       WHERE r.state = 'held' AND r.expires_at < clock_timestamp() AND b.state = 'owned'
       ORDER BY r.expires_at LIMIT count_max FOR UPDATE OF r SKIP LOCKED)
    SELECT bucket, sku, min(epoch) AS epoch, array_agg(order_id) AS orders FROM due GROUP BY bucket, sku
     ORDER BY bucket, sku
  LOOP
    PERFORM shard.guard(part.bucket, part.epoch);
    WITH gone AS (
      UPDATE catalog.reservation SET state = 'expired', changed_at = clock_timestamp()
       WHERE bucket = part.bucket AND sku = part.sku AND order_id = ANY (part.orders) AND state = 'held'
      RETURNING quantity)
    UPDATE catalog.product SET stock = stock + (SELECT sum(quantity) FROM gone)
     WHERE bucket = part.bucket AND sku = part.sku;
    expired := expired + cardinality(part.orders);
  END LOOP;
  RETURN expired;
END $$;

-- Deletes what has been expired or released for so long that no message about it can be under way any more.
CREATE OR REPLACE FUNCTION catalog.forget_reservations(older_than_ms bigint, count_max int) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  gone record;
  forgotten bigint := 0;
BEGIN
  FOR gone IN
    SELECT r.bucket, r.sku, r.order_id, b.epoch FROM catalog.reservation r JOIN shard.bucket b USING (bucket)
     WHERE r.state IN ('expired', 'released') AND b.state = 'owned'
       AND r.changed_at < clock_timestamp() - older_than_ms * interval '1 ms'
     ORDER BY r.changed_at LIMIT count_max FOR UPDATE OF r SKIP LOCKED
  LOOP
    PERFORM shard.guard(gone.bucket, gone.epoch);
    DELETE FROM catalog.reservation WHERE bucket = gone.bucket AND sku = gone.sku AND order_id = gone.order_id;
    forgotten := forgotten + 1;
  END LOOP;
  RETURN forgotten;
END $$;

-- The backstop against rows written to a shard that does not own their bucket.
SELECT shard.protect_table('catalog.product');
SELECT shard.protect_table('catalog.reservation');

GRANT USAGE ON SCHEMA catalog TO tidemark_app, tidemark_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.product TO tidemark_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.reservation TO tidemark_app;
GRANT SELECT ON catalog.product, catalog.reservation TO tidemark_admin;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catalog FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA catalog TO tidemark_app, tidemark_admin;
