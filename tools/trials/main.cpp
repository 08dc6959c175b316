// tidemark-trials: what holds while things are moved and killed. Verb: bucket-move.
#include <fmt/format.h>

#include "base/io/options.h"
#include "tools/trials/bucket_move.h"

int main(int argc, char** argv) {
  using namespace tidemark;
  trials::BucketMoveArguments move;
  io::Options options("tidemark-trials",
                      "Trials on a cluster of their own, with books about every acknowledged write.");
  io::Options& verb =
      options.verb("bucket-move", "Moves buckets to and fro between two shards with standbys, under load.");
  verb.text("directory", move.directory, "where the cluster is made (default: a temporary one)");
  verb.number("rounds", move.rounds, {.min = 1}, "moves");
  verb.number("buckets", move.buckets, {.min = 1, .max = 512}, "buckets of each move");
  verb.number("rows", move.rows, {}, "accounts in the moving range; each has an entry and a label");
  verb.number("writes", move.writes, {.min = 1}, "writes per second, half of them into the moving range");
  verb.number("reads", move.reads, {.min = 1}, "reads per second");
  verb.flag("kill-every-step", move.kill_every_step,
            "kill the tool at each of its steps in turn, and let another go on");
  verb.flag("crash-servers", move.crash_servers,
            "stop the source's or the target's server at once during each move, and start it again");
  verb.flag("beside-subscription", move.beside_subscription,
            "move back each time by a logical-replication subscription and a script, and compare");
  verb.flag("fsync", move.fsync, "Postgres waits for the disk");
  verb.text("json", move.json, "file for the result");
  if (const auto exit_code = options.parse(argc, argv)) return *exit_code;
  const auto is_good = trials::run_bucket_move(move);
  if (!is_good) fmt::print(stderr, "tidemark-trials: {}\n", is_good.error().to_string());
  return is_good && *is_good ? io::kExitOk : io::kExitFailure;
}
