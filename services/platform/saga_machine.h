// A saga: a business action in steps on several shards, each with its undoing. Every started saga ends done or undone.
//
//                    every step done                                           every step undone
//   forward ────────────────────────────────▶ end(done)        backward ────────────────────────────▶ end(undone)
//      │ one step is refused                                      ▲
//      └─────────────▶ turn_back, in a commit of its own ─────────┘
//
// The machine is pure: it says what to do (take_actions) and is told what came of it (on_outcome). Only the direction
// is durable, in the saga's outbox row; a relay that dies is followed by another one which begins with every step of
// that direction again. So doing and undoing a step must be idempotent, undoing must work for a step that was never
// done, and a step that was undone must refuse to be done: messages of a relay that was held up arrive late.
//
//   machine.take_actions()            -> run(0), run(1)
//   on_outcome(run(0), kDone)            take_actions() -> nothing, step 1 is under way
//   on_outcome(run(1), kRefused)         take_actions() -> turn_back
//   on_outcome(turn_back, kDone)         take_actions() -> undo(0), undo(1)
//   on_outcome(undo(…), kDone) twice     take_actions() -> end(undone)
//
// What could not be told (kUnknown) ends this attempt with retry_later, once nothing is under way; a row that belongs
// to somebody else by now (kFenced) ends it with nothing at all. Invariants: no run after turn_back was given; no undo
// before turn_back was answered; one end at most; undo goes to every step, done or not. Threads: a plain value. I/O:
// none. Limits: kSagaStepsMax.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidemark::services {

inline constexpr size_t kSagaStepsMax = 1000;

enum class SagaDirection : uint8_t { kForward, kBackward };

struct SagaAction {
  enum class Kind : uint8_t {
    kRun,         // do step `step`
    kUndo,        // undo it
    kTurnBack,    // write down that the saga goes back, with `reason`
    kEnd,         // write down that it has ended (by its direction: done, undone) and take it out of the outbox
    kRetryLater,  // give it back to the outbox, with `reason`; the machine is over
    kLeave,       // it is somebody else's; the machine is over
  };
  Kind kind = Kind::kRun;
  size_t step = 0;
  std::string reason{};

  bool operator==(const SagaAction&) const = default;
};

enum class SagaOutcome : uint8_t {
  kDone,
  kRefused,  // of kRun: it was not done and never can be
  kFenced,   // of kTurnBack, kEnd: the saga is not ours any more
  kUnknown,  // it may have been done or not
};

class SagaMachine {
 public:
  SagaMachine(size_t steps, SagaDirection direction);

  // What is to be done now, in any order or at once; each is answered by one on_outcome, but for kRetryLater and
  // kLeave, which need no answer.
  std::vector<SagaAction> take_actions();
  // `reason`: why it was refused, or what went wrong.
  void on_outcome(const SagaAction& action, SagaOutcome outcome, std::string reason = {});

  SagaDirection direction() const { return direction_; }
  bool is_over() const { return state_ == State::kOver; }  // nothing more comes from this machine
  bool has_ended() const { return has_ended_; }            // by an end of its own
  size_t under_way() const { return under_way_; }

 private:
  enum class State : uint8_t { kSteps, kTurningBack, kEnding, kOver };
  std::vector<SagaAction> begin_steps(SagaAction::Kind kind);
  void on_step(SagaOutcome outcome, std::string reason);

  const size_t steps_;
  SagaDirection direction_;
  State state_ = State::kSteps;
  bool has_begun_ = false;  // the steps of this direction
  bool has_ended_ = false;
  bool is_refused_ = false, is_unknown_ = false, is_fenced_ = false;
  size_t under_way_ = 0;
  std::string refusal_, trouble_;
};

}  // namespace tidemark::services
