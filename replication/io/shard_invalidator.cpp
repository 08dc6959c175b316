#include "replication/io/shard_invalidator.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/io/system_clock.h"
#include "replication/io/journal_writer.h"
#include "replication/io/primary_finder.h"
#include "replication/io/primary_sampler.h"
#include "replication/io/shard_attach.h"
#include "replication/io/shard_metrics.h"
#include "replication/io/worker_set.h"
#include "replication/wal/stream_intake.h"

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;
using tidemark::io::steady_now;

class Invalidator final : public ShardInvalidator,
                          public WorkerSender::Host,
                          public std::enable_shared_from_this<Invalidator> {
 public:
  Invalidator(asio::io_context& context, ShardId shard, Options options, tidemark::io::Log log)
      : context_(context),
        shard_(shard),
        options_(std::move(options)),
        log_(std::move(log)),
        intake_(kWindowBytesMax),
        workers_(context_, *this, shard_, options_.node_password, options_.feed, log_),
        reattach_timer_(context),
        pump_timer_(context),
        maintenance_timer_(context) {}

  void start(asio::thread_pool& pool, Journal& journal) {
    JournalWriter::Events events;
    events.on_durable = [weak = weak_from_this()](Lsn durable) {
      if (auto self = weak.lock()) self->on_durable(durable);
    };
    events.on_failure = [weak = weak_from_this()](const Error& error) {
      if (auto self = weak.lock()) self->on_journal_failure(error);
    };
    journal_ = JournalWriter::create(context_, pool, journal, shard_, options_.retention, std::move(events));
    if (Status status = journal_->load(); !status && status.error().code != ErrorCode::kNotFound) {
      log_.error("journal is unreadable and begins anew", {{"shard", shard_}, {"error", status.error().to_string()}});
      is_journal_unreadable_ = true;
    }
    finder_ = PrimaryFinder::create(context_, {.user = options_.user, .passfile = options_.passfile},
                                    [weak = weak_from_this()](const std::string& conninfo, const std::string& why) {
                                      if (auto self = weak.lock()) self->on_primary(conninfo, why);
                                    });
    run_pump();
    run_maintenance();
  }

  void apply(std::shared_ptr<const Topology> topology) override {
    auto keymap = Keymap::build(topology->families);
    if (!keymap) return refuse_topology(keymap.error().to_string());
    topology_ = std::move(topology);
    const Shard* shard = topology_->find_shard(shard_);
    finder_->set_shard(shard != nullptr ? *shard : Shard{.id = shard_, .servers = {}});
    bool is_changed = !keymap_ || keymap_->fingerprint() != keymap->fingerprint() || conninfo_ != finder_->conninfo();
    if (keymap_ && keymap_->fingerprint() != keymap->fingerprint()) are_families_new_ = true;
    workers_.apply(*topology_, reason_for_new_workers());
    if (!is_changed) return;
    detach({ErrorCode::kUnavailable, "the topology has changed"});  // before the keymap that the session uses goes
    keymap_ = std::make_unique<Keymap>(std::move(*keymap));
    conninfo_ = finder_->conninfo();
    schedule_attach({});
  }

  // Another server is the primary now: somebody promoted it.
  void on_primary(const std::string& conninfo, const std::string& why_none) {
    if (!keymap_ || conninfo == conninfo_ || is_stopping_) return;  // apply() attaches
    conninfo_ = conninfo;
    delay_ = {};
    detach({ErrorCode::kUnavailable, conninfo.empty() ? why_none : "another server is the primary now"});
    schedule_attach({});
  }

  void stop(std::function<void()> on_stopped) override {
    is_stopping_ = true;
    finder_->close();
    reattach_timer_.cancel();
    if (sampler_) sampler_->close();
    if (attachment_) attachment_->stream->pause_copy(true);
    flush_to_journal();
    journal_->flush();
    drain(steady_now() + kDrainTimeout, std::move(on_stopped));
  }

  State state() const override { return state_; }
  std::string why_not_streaming() const override { return last_error_; }
  void append_metrics(std::vector<tidemark::io::MetricFamily>& out) const override {
    MetricList list(out);
    ShardFigures figures = figures_;
    figures.is_streaming = state_ == State::kStreaming;
    figures.is_standby = state_ == State::kStandby;
    figures.db_epoch = attachment_ ? attachment_->db_epoch : 0;
    figures.ticks += sampler_ ? sampler_->ticks() : 0;
    append_shard_metrics(list, shard_, figures, intake_, *journal_);
    workers_.append_metrics(list);
  }

  // ---------------------------------------------------------------------------------------- what workers ask of us
  std::optional<WorkerFeed::Shard> shard_for_feed() override {
    if (state_ != State::kStreaming) return std::nullopt;
    const SettledTracker& tracker = intake_.tracker();
    return WorkerFeed::Shard{.address = {shard_, attachment_->db_epoch, topology_->slots_version},
                             .position = intake_.position(),
                             .journal_begin = journal_->meta().begin,
                             .window = &intake_.window(),
                             .settled = tracker.settled(),
                             .snapshot = tracker.has_settled() ? &tracker.snapshot() : nullptr,
                             .succession = attachment_->succession};
  }

  void read_journal(Lsn from, std::move_only_function<void(Result<JournalRecord>)> handler) override {
    ++figures_.journal_reads;
    journal_->read_after(from, std::move(handler));
  }

 private:
  // --------------------------------------------------------------------------------------------------------- attach
  void schedule_attach(Duration delay) {
    if (is_stopping_) return;
    reattach_timer_.expires_after(delay);
    reattach_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->start_attach();
    });
  }

  void start_attach() {
    if (is_attaching_ || is_stopping_ || state_ == State::kStreaming) return;
    if (conninfo_.empty()) return on_attach_failed({ErrorCode::kUnavailable, finder_->why_none()});
    is_attaching_ = true;
    uint64_t session = ++session_;
    StreamEvents events;
    events.on_message = [this, session](std::string_view message) { on_message(session, message); };
    events.on_keepalive = [this, session](Lsn end, bool reply) { on_keepalive(session, end, reply); };
    events.on_burst_end = [this, session] { on_burst_end(session); };
    events.on_garbage = [this, session](Error error) {
      if (session == session_) detach(std::move(error));
    };
    AttachOptions options{.shard = shard_,
                          .conninfo = conninfo_,
                          .user = options_.user,
                          .passfile = options_.passfile,
                          .slot = options_.slot,
                          .publication = options_.publication,
                          .is_slot_unusable = is_slot_unusable_};
    // The keymap of this attach stays alive with it, whatever the topology does meanwhile.
    session_keymap_ = std::make_shared<Keymap>(*keymap_);
    replication::io::attach(context_, std::move(options), *session_keymap_, std::move(events),
                            [self = shared_from_this(), keymap = session_keymap_, session](Result<Attachment> result) {
                              self->on_attached(session, std::move(result));
                            });
  }

  void on_attached(uint64_t session, Result<Attachment> result) {
    is_attaching_ = false;
    bool is_outdated = session != session_ || is_stopping_;
    if (result && is_outdated) {
      result->stream->close();
      result->observer->close();
    }
    if (is_outdated) return schedule_attach({});
    if (!result) return on_attach_failed(result.error());
    adopt(std::move(*result));
  }

  void on_attach_failed(const Error& error) {
    is_slot_unusable_ = is_slot_unusable_ || says_that_wal_is_gone(error);
    State state = error.code == ErrorCode::kAborted ? State::kStandby : State::kDown;
    std::string text = error.to_string();
    if (text != last_error_ || state != state_) {
      if (state == State::kStandby)
        log_.info("standby: another invalidator is active", {{"shard", shard_}});
      else
        log_.warn("cannot attach to the shard", {{"shard", shard_}, {"error", text}});
    }
    state_ = state;
    last_error_ = std::move(text);
    if (state == State::kStandby) return schedule_attach(kStandbyDelay);
    schedule_attach(next_delay());
  }

  Duration next_delay() {
    delay_ = delay_.count() == 0 ? kReattachDelay : std::min(2 * delay_, kReattachDelayMax);
    return delay_;
  }

  void adopt(Attachment attachment) {
    attachment_ = std::move(attachment);
    if (attachment_->is_slot_new) is_slot_unusable_ = false;
    bool is_continuous = continues_journal(*attachment_);
    if (!is_continuous)
      restart_journal();
    else if (!is_restored_)
      restore_from_journal();
    is_restored_ = true;
    JournalMeta& meta = journal_->meta();
    meta.system_id = attachment_->identity.system_id;
    meta.timeline = attachment_->identity.timeline;
    meta.db_epoch = attachment_->db_epoch;
    is_intake_paused_ = false;
    intake_.begin_session(*session_keymap_);
    intake_.set_journaled(journal_->queued_tail());
    intake_.on_snapshot(attachment_->sample.snapshot);
    figures_.insert_lsn = attachment_->sample.insert_lsn;
    if (are_families_new_ || meta.families_fingerprint != session_keymap_->fingerprint()) {
      workers_.require_fenceall(FenceAllReason::kFamilies);
    }
    are_families_new_ = false;
    state_ = State::kStreaming;
    last_error_.clear();
    attached_at_ = steady_now();
    ++figures_.attaches;
    auto on_closed = [this, session = session_](Error error) {
      if (session == session_) detach(std::move(error));
    };
    attachment_->observer->on_closed(on_closed);
    attachment_->stream->on_closed(on_closed);
    log_.info("attached", {{"shard", shard_},
                           {"db_epoch", attachment_->db_epoch},
                           {"timeline", attachment_->identity.timeline},
                           {"confirmed", attachment_->confirmed.to_string()},
                           {"position", intake_.position().to_string()},
                           {"continuous", is_continuous},
                           {"succeeds", attachment_->succession ? attachment_->succession->switch_lsn.to_string()
                                                                : std::string("-")}});
    attachment_->stream->pause_copy(false);
    start_sampler();
    workers_.pump();
  }

  // Does the stream that starts at `confirmed` follow the journal without a hole? (F11)
  bool continues_journal(const Attachment& attachment) const {
    if (!journal_->has_meta() || is_journal_unreadable_ || attachment.is_slot_new) return false;
    const JournalMeta& meta = journal_->meta();
    return meta.system_id == attachment.identity.system_id && meta.timeline == attachment.identity.timeline &&
           attachment.confirmed <= journal_->queued_tail() && journal_->queued_tail() <= attachment.sample.insert_lsn;
  }

  void restart_journal() {
    if (journal_->has_meta()) {
      ++figures_.cuts;
      log_.warn("the stream does not follow the journal; it begins anew",
                {{"shard", shard_},
                 {"confirmed", attachment_->confirmed.to_string()},
                 {"journal_tail", journal_->queued_tail().to_string()}});
    }
    is_journal_unreadable_ = false;
    // After a promotion the stream follows the position where the old timeline ended: nothing lies between.
    const Lsn begin = attachment_->succession ? attachment_->succession->switch_lsn : attachment_->confirmed;
    const JournalMeta before = journal_->has_meta() ? journal_->meta() : JournalMeta{};
    journal_->cut(begin);
    if (attachment_->succession) {  // what workers were last brought up to has not changed by a promotion
      journal_->meta().families_fingerprint = before.families_fingerprint;
      journal_->meta().slots_version = before.slots_version;
    }
    intake_.restart_at(begin, attachment_->own_xid);
  }

  void restore_from_journal() {
    const JournalMeta& meta = journal_->meta();
    bool is_settled_known = meta.settled >= meta.begin && !meta.settled.is_zero();
    intake_.restore(meta.tail, is_settled_known ? meta.settled : Lsn{}, attachment_->own_xid);
    Lsn from = is_settled_known ? meta.settled : meta.begin;
    while (from < meta.tail) {
      auto piece = journal_->read_after_blocking(from);
      if (!piece || piece->lsn <= from) {
        log_.error("journal is unreadable and begins anew",
                   {{"shard", shard_}, {"error", piece ? "no progress" : piece.error().to_string()}});
        return restart_journal();
      }
      for (const Commit& commit : piece->commits) intake_.restore_commit(commit);
      from = piece->lsn;
    }
    intake_.restored();
  }

  void detach(Error error) {
    is_slot_unusable_ = is_slot_unusable_ || says_that_wal_is_gone(error);
    ++session_;
    if (!attachment_) return;
    note_followers();
    flush_to_journal();
    attachment_->observer->close();
    attachment_->stream->close();
    attachment_.reset();
    intake_.end_session();
    sampler_->close();
    figures_.ticks += sampler_->ticks();
    next_sample_ = sampler_->next_sample();
    sampler_.reset();
    state_ = State::kDown;
    last_error_ = error.to_string();
    ++figures_.detaches;
    log_.warn("detached from the shard", {{"shard", shard_}, {"error", last_error_}});
    if (steady_now() - attached_at_ > kReattachDelayMax) delay_ = {};
    schedule_attach(next_delay());
  }

  void refuse_topology(const std::string& text) {
    log_.error("topology refused", {{"shard", shard_}, {"error", text}});
    last_error_ = text;
  }

  // --------------------------------------------------------------------------------------------------------- stream
  void on_message(uint64_t session, std::string_view message) {
    if (session != session_ || !attachment_) return;
    if (Status status = intake_.on_message(message); !status) detach(status.error());
  }

  void on_keepalive(uint64_t session, Lsn wal_end, bool wants_reply) {
    if (session != session_ || !attachment_) return;
    intake_.on_keepalive(wal_end);
    if (wants_reply) send_status(*attachment_->stream, journal_->durable(), false);
  }

  void on_burst_end(uint64_t session) {
    if (session != session_ || !attachment_) return;
    for (const std::string& refusal : intake_.take_refusals()) {
      log_.error("family refused: every change of its table invalidates the whole shard",
                 {{"shard", shard_}, {"error", refusal}});
    }
    if (flush_to_journal()) journal_->flush();
    limit_intake();
    workers_.pump();
  }

  // True if there were commits to write.
  bool flush_to_journal() {
    auto commits = intake_.take_for_journal();
    bool has_commits = !commits.empty();
    journal_->append(std::move(commits), intake_.position());
    return has_commits;
  }

  void on_durable(Lsn durable) {
    intake_.trim_window(durable);
    if (!attachment_) return;
    send_status(*attachment_->stream, durable, false);
    limit_intake();
  }

  void limit_intake() {
    if (!attachment_ || is_stopping_) return;
    bool is_full = journal_->pending_bytes() > JournalWriter::kPendingBytesMax;
    if (is_full != is_intake_paused_) attachment_->stream->pause_copy(is_full);
    is_intake_paused_ = is_full;
  }

  void on_journal_failure(const Error& error) {
    ++figures_.journal_failures;
    log_.error("journal cannot be written; the slot is not confirmed",
               {{"shard", shard_}, {"error", error.to_string()}});
  }

  // -------------------------------------------------------------------------------------------------------- samples
  void start_sampler() {
    PrimarySampler::Events events;
    // Stamps received up to here are older than the LSN that the primary is about to tell.
    events.on_started = [this](uint64_t sample) { workers_.on_sample_started(sample); };
    events.on_sample = [this](uint64_t id, const Sample& sample) {
      intake_.on_snapshot(sample.snapshot);
      figures_.insert_lsn = sample.insert_lsn;
      workers_.on_sample(id, sample.insert_lsn);
    };
    events.on_lost = [this](uint64_t sample) { workers_.on_sample_lost(sample); };
    events.on_failure = [this](const Error& error) { detach(error); };
    events.position = [this] { return intake_.position(); };
    events.ask_position = [this] { send_status(*attachment_->stream, journal_->durable(), true); };
    sampler_ = PrimarySampler::start(context_, attachment_->observer, next_sample_, std::move(events));
  }

  // -------------------------------------------------------------------------------------------------------- workers
  std::optional<FenceAllReason> reason_for_new_workers() const {
    if (!journal_->has_meta()) return std::nullopt;
    const JournalMeta& meta = journal_->meta();
    if (session_keymap_ && meta.families_fingerprint != session_keymap_->fingerprint())
      return FenceAllReason::kFamilies;
    if (meta.slots_version != topology_->slots_version) return FenceAllReason::kSlots;
    return std::nullopt;
  }

  void run_pump() {
    pump_timer_.expires_after(kPumpInterval);
    pump_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error || self->is_stopped_) return;
      self->workers_.pump();
      self->run_pump();
    });
  }

  // Progress without commits is made durable now and then; without it an idle slot would hold WAL for ever.
  void run_maintenance() {
    maintenance_timer_.expires_after(kMaintenanceInterval);
    maintenance_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error || self->is_stopped_) return;
      self->maintain();
      self->run_maintenance();
    });
  }

  void maintain();
  void note_followers();

  void drain(Instant deadline, std::function<void()> on_stopped) {
    bool is_busy = !journal_->is_idle() || workers_.is_busy();
    if (is_busy && steady_now() < deadline) {
      drain_timer_ = std::make_unique<asio::steady_timer>(context_, std::chrono::milliseconds(10));
      drain_timer_->async_wait([self = shared_from_this(), deadline, on_stopped](boost::system::error_code) {
        self->drain(deadline, on_stopped);
      });
      return;
    }
    is_stopped_ = true;
    pump_timer_.cancel();
    maintenance_timer_.cancel();
    workers_.close();
    if (attachment_) {
      attachment_->stream->close();
      attachment_->observer->close();
      attachment_.reset();
    }
    state_ = State::kDown;
    on_stopped();
  }

  asio::io_context& context_;
  ShardId shard_;
  Options options_;
  tidemark::io::Log log_;
  std::shared_ptr<const Topology> topology_;
  std::unique_ptr<Keymap> keymap_;                // of the newest topology
  std::shared_ptr<const Keymap> session_keymap_;  // of the running session: attach and intake refer to it
  std::string conninfo_;
  std::shared_ptr<JournalWriter> journal_;
  StreamIntake intake_;
  WorkerSet workers_;
  std::shared_ptr<PrimaryFinder> finder_;

  State state_ = State::kDown;
  std::optional<Attachment> attachment_;
  uint64_t session_ = 0;
  bool is_attaching_ = false;
  bool is_restored_ = false;
  bool is_journal_unreadable_ = false;
  bool is_slot_unusable_ = false;  // the WAL it needs is gone: it is dropped at the next attach
  bool are_families_new_ = false;
  bool is_intake_paused_ = false;
  bool is_stopping_ = false;
  bool is_stopped_ = false;
  std::string last_error_ = "not attached yet";
  Instant attached_at_;
  Duration delay_{};

  asio::steady_timer reattach_timer_, pump_timer_, maintenance_timer_;
  std::unique_ptr<asio::steady_timer> drain_timer_;
  std::shared_ptr<PrimarySampler> sampler_;  // while attached
  uint64_t next_sample_ = 1;

  ShardFigures figures_;  // what is counted here
};

// Every worker has been brought up to the present families and slots: after this nobody has to be, on their account.
void Invalidator::note_followers() {
  if (!workers_.are_all_following()) return;
  journal_->meta().families_fingerprint = session_keymap_->fingerprint();
  journal_->meta().slots_version = topology_->slots_version;
}

void Invalidator::maintain() {
  if (state_ != State::kStreaming || is_stopping_) return;
  note_followers();
  JournalMeta& meta = journal_->meta();
  meta.settled = intake_.tracker().settled();
  flush_to_journal();
  journal_->trim(intake_.tracker().first_unsettled());
  journal_->flush();
  if (workers_.has_newer_epoch()) detach({ErrorCode::kUnavailable, "a worker knows a newer db_epoch"});
}

}  // namespace

std::shared_ptr<ShardInvalidator> ShardInvalidator::create(asio::io_context& context, asio::thread_pool& pool,
                                                           Journal& journal, ShardId shard, Options options,
                                                           tidemark::io::Log log) {
  auto invalidator = std::make_shared<Invalidator>(context, shard, std::move(options), std::move(log));
  invalidator->start(pool, journal);
  return invalidator;
}

}  // namespace tidemark::replication::io
