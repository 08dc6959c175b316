-- The order service's tables on every shard. Idempotent; run by the owner after the shard schema and the catalog's
-- (`tidemark-shards init --schema`). What is reserved of products is catalog.reservation, in services/catalog.
--
-- Orders, their lines and their outbox rows lie in the bucket of their customer, so that one transaction writes them
-- all, and they move together.
CREATE SCHEMA IF NOT EXISTS shop;

CREATE TABLE IF NOT EXISTS shop.orders (
  bucket          int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  id              bigint NOT NULL CHECK (id > 0),
  customer_id     bigint NOT NULL CHECK (customer_id > 0),
  idempotency_key text   COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 64),
  state           text   NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelling', 'cancelled', 'failed')),
  failure         text   NOT NULL DEFAULT '',
  total_cents     bigint NOT NULL CHECK (total_cents >= 0),
  row_version     bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, id)
);
-- One order for each key of a customer: what makes a repeated request harmless.
CREATE UNIQUE INDEX IF NOT EXISTS orders_key ON shop.orders (bucket, customer_id, idempotency_key);
-- A customer's orders, newest first; and the replica identity: a changed row says whose list it belongs to.
CREATE UNIQUE INDEX IF NOT EXISTS orders_of_customer ON shop.orders (bucket, customer_id, id);
ALTER TABLE shop.orders REPLICA IDENTITY USING INDEX orders_of_customer;

-- Lines are written with their order and never change: whoever sees the order's row knows its lines.
CREATE TABLE IF NOT EXISTS shop.order_line (
  bucket      int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  order_id    bigint NOT NULL,
  line        int    NOT NULL CHECK (line > 0),
  sku         text   COLLATE "C" NOT NULL,
  quantity    bigint NOT NULL CHECK (quantity > 0),
  price_cents bigint NOT NULL CHECK (price_cents >= 0),
  PRIMARY KEY (bucket, order_id, line),
  UNIQUE (bucket, order_id, sku),
  FOREIGN KEY (bucket, order_id) REFERENCES shop.orders (bucket, id)
);

-- One row for each saga under way, at most one for an order; gone when it has ended. `step` is the direction it goes:
-- forward ('confirm') until somebody has decided, in a commit, that it goes back ('release'), and never forward again.
-- A relay works on a row while its claim stands in it; the claim ends at next_at, when the row is due for anybody.
CREATE TABLE IF NOT EXISTS shop.outbox (
  bucket     int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  order_id   bigint NOT NULL,
  kind       text   NOT NULL CHECK (kind IN ('place', 'cancel')),
  step       text   NOT NULL CHECK (step IN ('confirm', 'release')),
  failure    text   NOT NULL DEFAULT '',  -- why it goes back
  attempts   int    NOT NULL DEFAULT 0,
  is_parked  boolean NOT NULL DEFAULT false,  -- has failed many times; still tried, but seldom
  last_error text   NOT NULL DEFAULT '',
  claim      bigint NOT NULL DEFAULT 0,
  next_at    timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, order_id),
  FOREIGN KEY (bucket, order_id) REFERENCES shop.orders (bucket, id)
);
CREATE INDEX IF NOT EXISTS outbox_due ON shop.outbox (next_at);

-- Whoever updates a row, psql too, gives it a new version: that is what tells an old answer from a new one.
CREATE OR REPLACE FUNCTION shop.bump_row_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.row_version := OLD.row_version + 1;
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER orders_row_version BEFORE UPDATE ON shop.orders
  FOR EACH ROW EXECUTE FUNCTION shop.bump_row_version();

-- Order, lines and outbox row. False: the key has an order already, and nothing was written.
CREATE OR REPLACE FUNCTION shop.place_order(for_bucket int, new_id bigint, for_customer bigint, key text, total bigint,
                                            skus text[], quantities bigint[], prices bigint[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO shop.orders (bucket, id, customer_id, idempotency_key, state, total_cents)
  VALUES (for_bucket, new_id, for_customer, key, 'pending', total)
  ON CONFLICT (bucket, customer_id, idempotency_key) DO NOTHING;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO shop.order_line (bucket, order_id, line, sku, quantity, price_cents)
  SELECT for_bucket, new_id, l.line, l.sku, l.quantity, l.price
    FROM unnest(skus, quantities, prices) WITH ORDINALITY AS l(sku, quantity, price, line);
  INSERT INTO shop.outbox (bucket, order_id, kind, step) VALUES (for_bucket, new_id, 'place', 'confirm');
  RETURN true;
END $$;

-- The order's state before the call, NULL if there is no such order. Only pending and confirmed orders begin to be
-- cancelled; a saga under way is taken over and goes back from where it is.
CREATE OR REPLACE FUNCTION shop.cancel_order(for_bucket int, for_order bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  known_state text;
BEGIN
  -- Row locks in the order of the relays' transactions: outbox, then order.
  PERFORM FROM shop.outbox WHERE bucket = for_bucket AND order_id = for_order FOR UPDATE;
  SELECT state INTO known_state FROM shop.orders WHERE bucket = for_bucket AND id = for_order FOR UPDATE;
  IF known_state IN ('pending', 'confirmed') THEN
    INSERT INTO shop.outbox (bucket, order_id, kind, step) VALUES (for_bucket, for_order, 'cancel', 'release')
    ON CONFLICT (bucket, order_id) DO UPDATE
      SET kind = 'cancel', step = 'release', attempts = 0, is_parked = false, claim = 0, next_at = now();
    UPDATE shop.orders SET state = 'cancelling' WHERE bucket = for_bucket AND id = for_order;
  END IF;
  RETURN known_state;
END $$;

-- ---------------------------------------------------------------------------------------------------- for the relays
-- Takes sagas that are due, each for `lease_ms`; one row per line of their orders. Only in buckets that this shard owns,
-- under the guard: a bucket that moves is copied with its outbox, and both shards have the rows for a while.
CREATE OR REPLACE FUNCTION shop.claim_sagas(new_claim bigint, lease_ms bigint, count_max int)
RETURNS TABLE (bucket int, order_id bigint, customer_id bigint, kind text, step text, failure text, attempts int,
               due_ms bigint, sku text, quantity bigint, price_cents bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  due record;
BEGIN
  FOR due IN
    SELECT o.bucket, o.order_id, o.next_at, b.epoch FROM shop.outbox o JOIN shard.bucket b USING (bucket)
     WHERE o.next_at <= clock_timestamp() AND b.state = 'owned'
     ORDER BY o.next_at LIMIT count_max FOR UPDATE OF o SKIP LOCKED
  LOOP
    PERFORM shard.guard(due.bucket, due.epoch);
    RETURN QUERY
      WITH claimed AS (
        UPDATE shop.outbox o SET claim = new_claim, attempts = o.attempts + 1,
               next_at = clock_timestamp() + lease_ms * interval '1 ms'
         WHERE o.bucket = due.bucket AND o.order_id = due.order_id
        RETURNING o.bucket, o.order_id, o.kind, o.step, o.failure, o.attempts)
      SELECT c.bucket, c.order_id, s.customer_id, c.kind, c.step, c.failure, c.attempts,
             (extract(epoch FROM clock_timestamp() - due.next_at) * 1000)::bigint, l.sku, l.quantity, l.price_cents
        FROM claimed c
        JOIN shop.orders s ON s.bucket = c.bucket AND s.id = c.order_id
        JOIN shop.order_line l ON l.bucket = c.bucket AND l.order_id = c.order_id
       ORDER BY l.line;
  END LOOP;
END $$;

-- The three ways a relay writes to a saga it has claimed; false: the claim is not its own any more, nothing was done.
CREATE OR REPLACE FUNCTION shop.saga_turn_back(for_bucket int, for_order bigint, my_claim bigint, why text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE shop.outbox SET step = 'release', failure = why
   WHERE bucket = for_bucket AND order_id = for_order AND claim = my_claim;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION shop.saga_end(for_bucket int, for_order bigint, my_claim bigint, end_state text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  why text;
BEGIN
  DELETE FROM shop.outbox WHERE bucket = for_bucket AND order_id = for_order AND claim = my_claim
     AND (step = 'release') = (end_state <> 'confirmed')
  RETURNING failure INTO why;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE shop.orders SET state = end_state, failure = CASE WHEN end_state = 'failed' THEN why ELSE '' END
   WHERE bucket = for_bucket AND id = for_order;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION shop.saga_retry_later(for_bucket int, for_order bigint, my_claim bigint, delay_ms bigint,
                                                 park boolean, why text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE shop.outbox SET next_at = clock_timestamp() + delay_ms * interval '1 ms', is_parked = park, last_error = why,
         claim = 0
   WHERE bucket = for_bucket AND order_id = for_order AND claim = my_claim;
  RETURN FOUND;
END $$;

-- How much is to be done, of the buckets owned here.
CREATE OR REPLACE FUNCTION shop.outbox_depth(OUT waiting bigint, OUT parked bigint, OUT oldest_ms bigint)
LANGUAGE sql VOLATILE AS $$
  SELECT count(*), count(*) FILTER (WHERE is_parked),
         coalesce((extract(epoch FROM clock_timestamp() - min(created_at)) * 1000)::bigint, 0)
    FROM shop.outbox o JOIN shard.bucket b USING (bucket) WHERE b.state = 'owned'
$$;

-- The backstop against rows written to a shard that does not own their bucket.
SELECT shard.protect_table('shop.orders');
SELECT shard.protect_table('shop.order_line');
SELECT shard.protect_table('shop.outbox');

GRANT USAGE ON SCHEMA shop TO tidemark_app, tidemark_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.orders, shop.order_line, shop.outbox TO tidemark_app;
GRANT SELECT ON shop.orders, shop.order_line, shop.outbox TO tidemark_admin;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA shop FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA shop TO tidemark_app, tidemark_admin;
