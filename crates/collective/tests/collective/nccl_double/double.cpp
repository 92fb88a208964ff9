// A test double: it has NCCL's names and is not NCCL. Ranks are threads of one process, "device memory" is host memory,
// and a "stream" is a queue with a thread that does its work in order, some time after it was queued. So code that forgets
// to put two streams in order, or to wait for a call in progress, reads numbers that are not there yet. Faults are asked
// for by name (double_set); every call leaves a line in a log (double_log).
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {
enum { Success = 0, InternalError = 3, InvalidArgument = 4, InProgress = 7 };

// One lock for everything: a double need not be fast. None of these is ever destroyed, since threads of streams and of
// ranks that hang use them until the process is gone.
std::mutex& lock = *new std::mutex;
std::condition_variable& changed = *new std::condition_variable;
auto& knobs = *new std::map<std::string, long>;
auto& lines = *new std::vector<std::string>;
auto& last_error = *new std::string;

long knob(const std::string& name, long otherwise = -1) {
  auto found = knobs.find(name);
  return found == knobs.end() ? otherwise : found->second;
}

// --- streams and events
struct Event { bool reached = false; };
using Shared = std::shared_ptr<Event>;
struct Stream {
  std::string name;
  bool host;  // what stands for LibTorch's current stream: on a CPU that is the calling thread itself
  std::deque<std::function<void(std::unique_lock<std::mutex>&)>> work;
};

void serve(Stream* s) {
  std::unique_lock<std::mutex> held(lock);
  for (;;) {
    changed.wait(held, [&] { return !s->work.empty(); });
    auto next = std::move(s->work.front());
    s->work.pop_front();
    held.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    held.lock();
    next(held);
    changed.notify_all();
  }
}

// --- communicators
struct Round { size_t arrived = 0, left = 0; std::vector<std::vector<char>> brought; };
struct World { std::map<uint64_t, Round> rounds; std::map<int, bool> joined; };
struct Call { std::string what; std::function<void()> queue; };
struct Comm {
  std::shared_ptr<World> world;
  int rank, ranks, state = InProgress;
  long polls = 0;            // how often a call in progress is still in progress when asked
  uint64_t calls = 0;        // made so far
  bool aborted = false;
  std::vector<Call> settling;  // what is queued once the call is no longer in progress
};
auto& worlds = *new std::map<std::string, std::shared_ptr<World>>;
thread_local std::vector<std::pair<Comm*, Call>> group;
thread_local int depth = 0;

void say(const std::string& line) { lines.push_back(line); }
std::string on(Comm* c) { return "rank " + std::to_string(c->rank) + ": "; }

size_t size_of(int type) { return type == 8 || type == 4 ? 8 : type == 7 || type == 2 ? 4 : type == 9 || type == 6 ? 2 : 1; }

float wide(uint16_t half) { uint32_t bits = uint32_t(half) << 16; float f; std::memcpy(&f, &bits, 4); return f; }
uint16_t narrow(float f) {
  uint32_t bits; std::memcpy(&bits, &f, 4);
  return f != f ? uint16_t(bits >> 16 | 0x40) : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename T> void add(char* to, const char* from, size_t n) {
  for (size_t i = 0; i < n; i++) {
    T a, b; std::memcpy(&a, to + i * sizeof(T), sizeof(T)); std::memcpy(&b, from + i * sizeof(T), sizeof(T));
    a = T(a + b); std::memcpy(to + i * sizeof(T), &a, sizeof(T));
  }
}
void add_all(std::vector<char>& to, const std::vector<char>& from, size_t n, int type) {
  switch (type) {
    case 1: return add<uint8_t>(to.data(), from.data(), n);
    case 2: return add<int32_t>(to.data(), from.data(), n);
    case 4: return add<int64_t>(to.data(), from.data(), n);
    case 7: return add<float>(to.data(), from.data(), n);
    case 8: return add<double>(to.data(), from.data(), n);
  }
  for (size_t i = 0; i < n; i++) {
    uint16_t a, b; std::memcpy(&a, &to[2 * i], 2); std::memcpy(&b, &from[2 * i], 2);
    a = narrow(wide(a) + wide(b)); std::memcpy(&to[2 * i], &a, 2);
  }
}

// Brings bytes to call number `call`, waits for the other ranks like a kernel does: for ever, or until an abort.
void meet(Comm* c, uint64_t call, const void* from, size_t bytes, std::unique_lock<std::mutex>& held,
          const std::function<void(const std::vector<std::vector<char>>&)>& done) {
  auto world = c->world;
  if (knob("hang_rank") == c->rank && knob("hang_call") == long(call)) {
    say(on(c) + "call " + std::to_string(call) + " hangs");
    changed.wait(held, [&] { return c->aborted; });
  }
  if (c->aborted) return;
  auto& round = world->rounds[call];
  round.brought.resize(c->ranks);
  round.brought[c->rank].assign((const char*)from, (const char*)from + bytes);
  round.arrived++;
  changed.notify_all();
  changed.wait(held, [&] { return c->aborted || world->rounds[call].arrived == size_t(c->ranks); });
  if (c->aborted) return;
  done(world->rounds[call].brought);
  if (++world->rounds[call].left == size_t(c->ranks)) world->rounds.erase(call);
}

// A call of the group that is open in this thread.
int called(Comm* c, const std::string& name, void* stream,
           std::function<void(uint64_t, std::unique_lock<std::mutex>&)> work) {
  std::unique_lock<std::mutex> held(lock);
  if (depth == 0) { last_error = name + " outside a group"; return InternalError; }
  if (c->state != Success) { last_error = name + " while another call is in progress"; return InvalidArgument; }
  uint64_t call = c->calls++;
  auto s = static_cast<Stream*>(stream);
  say(on(c) + name + " on " + s->name);
  if (knob("fail_rank") == c->rank && knob("fail_call") == long(call)) {
    last_error = "the test asked for it";
    return int(knob("fail_code"));
  }
  if (knob("stick_rank") == c->rank && knob("stick_call") == long(call)) {
    changed.wait(held, [] { return knob("release") == 1; });  // a launch into a queue that is full
  }
  group.push_back({c, {name, [=] {
    say(on(c) + name + " queued");
    s->work.push_back([=](std::unique_lock<std::mutex>& held) { work(call, held); });
  }}});
  return Success;
}

// One step of what the library does by itself: asked for so often, it has queued what was called.
void settle(Comm* c) {
  if (c->state != InProgress) return;
  if (c->world->joined.size() < size_t(c->ranks) || knob("init_hangs") == 1) return;
  if (c->polls-- > 0) return;
  for (auto& call : c->settling) call.queue();
  c->settling.clear();
  c->state = Success;
  changed.notify_all();
}
}  // namespace

extern "C" {
struct UniqueId { char bytes[128]; };
struct Config { size_t size; unsigned magic, version; int blocking; };

int ncclGetVersion(int* version) { *version = 22809; return Success; }
int ncclGetUniqueId(UniqueId* id) {
  static int made = 0;
  std::lock_guard<std::mutex> held(lock);
  std::memset(id, 0, sizeof *id);
  std::string name = "double " + std::to_string(++made);
  std::memcpy(id->bytes, name.data(), name.size());
  return Success;
}
const char* ncclGetErrorString(int code) { return code == 6 ? "remote process exited or there was a network error" : code == 1 ? "unhandled cuda error" : "an error of the double"; }
const char* ncclGetLastError(void*) { return last_error.c_str(); }

int ncclCommInitRankConfig(void** comm, int ranks, UniqueId id, int rank, Config* config) {
  std::lock_guard<std::mutex> held(lock);
  if (config->size != 80 || config->magic != 0xcafebeef || config->blocking != 0) {
    last_error = "the config is not what nccl.h says, or blocks";
    return InvalidArgument;
  }
  auto& world = worlds[std::string(id.bytes, sizeof id.bytes)];
  if (!world) world = std::make_shared<World>();
  auto c = new Comm{world, rank, ranks};
  c->polls = knob("polls", 3);
  if (knob("fail_init_rank") == rank) {
    last_error = "the test asked for it";
    return int(knob("fail_code"));
  }
  world->joined[rank] = true;
  say(on(c) + "ncclCommInitRankConfig");
  *comm = c;
  return InProgress;
}
int ncclCommGetAsyncError(void* comm, int* state) {
  std::lock_guard<std::mutex> held(lock);
  auto c = static_cast<Comm*>(comm);
  settle(c);
  *state = c->state;
  if (knob("async_rank") == c->rank) { last_error = "the test asked for it"; *state = int(knob("async_code")); }
  return Success;
}
int ncclCommFinalize(void* comm) {
  std::lock_guard<std::mutex> held(lock);
  auto c = static_cast<Comm*>(comm);
  say(on(c) + "ncclCommFinalize");
  c->state = InProgress;
  c->polls = knob("polls", 3);
  return InProgress;
}
// Communicators are never freed: a stream's thread may look at one after its end, as a kernel may at a real one's flag.
int ncclCommDestroy(void* comm) {
  std::lock_guard<std::mutex> held(lock);
  say(on(static_cast<Comm*>(comm)) + "ncclCommDestroy");
  return Success;
}
int ncclCommAbort(void* comm) {
  std::lock_guard<std::mutex> held(lock);
  auto c = static_cast<Comm*>(comm);
  say(on(c) + "ncclCommAbort");
  c->aborted = true;
  changed.notify_all();
  return Success;
}
int ncclGroupStart() { std::lock_guard<std::mutex> held(lock); say("ncclGroupStart"); depth++; return Success; }
int ncclGroupEnd() {
  std::lock_guard<std::mutex> held(lock);
  say("ncclGroupEnd");
  if (--depth > 0 || group.empty()) return Success;
  for (auto& [c, call] : group) {
    c->settling.push_back(std::move(call));
    c->state = InProgress;
    c->polls = knob("polls", 3);
  }
  group.clear();
  return InProgress;
}
int ncclAllReduce(const void* send, void* recv, size_t count, int type, int op, void* comm, void* stream) {
  auto c = static_cast<Comm*>(comm);
  if (op != 0) { last_error = "the double has sums only"; return InvalidArgument; }
  return called(c, "ncclAllReduce", stream, [=](uint64_t call, std::unique_lock<std::mutex>& held) {
    meet(c, call, send, count * size_of(type), held, [&](const std::vector<std::vector<char>>& all) {
      auto sum = all[0];
      for (size_t r = 1; r < all.size(); r++) add_all(sum, all[r], count, type);
      std::memcpy(recv, sum.data(), sum.size());
    });
  });
}
int ncclAllGather(const void* send, void* recv, size_t count, int type, void* comm, void* stream) {
  auto c = static_cast<Comm*>(comm);
  return called(c, "ncclAllGather", stream, [=](uint64_t call, std::unique_lock<std::mutex>& held) {
    size_t bytes = count * size_of(type);
    meet(c, call, send, bytes, held, [&](const std::vector<std::vector<char>>& all) {
      for (size_t r = 0; r < all.size(); r++) std::memcpy((char*)recv + r * bytes, all[r].data(), bytes);
    });
  });
}
int ncclBroadcast(const void* send, void* recv, size_t count, int type, int root, void* comm, void* stream) {
  auto c = static_cast<Comm*>(comm);
  return called(c, "ncclBroadcast", stream, [=](uint64_t call, std::unique_lock<std::mutex>& held) {
    meet(c, call, send, count * size_of(type), held,
         [&](const std::vector<std::vector<char>>& all) { std::memcpy(recv, all[root].data(), all[root].size()); });
  });
}

// --- what NCCL has not: streams, events, faults, the log
void* double_stream(const char* name, int host) {
  auto s = new Stream{name, host != 0, {}};
  if (!host) std::thread(serve, s).detach();
  return s;
}
void* double_record(void* stream) {
  std::lock_guard<std::mutex> held(lock);
  auto s = static_cast<Stream*>(stream);
  auto event = std::make_shared<Event>();
  say("record " + s->name);
  if (s->host) event->reached = true;
  else s->work.push_back([event](std::unique_lock<std::mutex>&) { event->reached = true; });
  changed.notify_all();
  return new Shared(event);
}
void double_hold(void* event, void* stream) {
  std::unique_lock<std::mutex> held(lock);
  auto s = static_cast<Stream*>(stream);
  auto e = *static_cast<Shared*>(event);
  say("hold " + s->name);
  auto wait = [e](std::unique_lock<std::mutex>& held) { changed.wait(held, [&] { return e->reached; }); };
  if (s->host) wait(held);
  else s->work.push_back(wait);
}
int double_reached(void* event) { std::lock_guard<std::mutex> held(lock); return (*static_cast<Shared*>(event))->reached; }
void double_forget(void* event) { std::lock_guard<std::mutex> held(lock); delete static_cast<Shared*>(event); }
void double_set(const char* name, long value) { std::lock_guard<std::mutex> held(lock); knobs[name] = value; changed.notify_all(); }
void double_reset() { std::lock_guard<std::mutex> held(lock); knobs.clear(); lines.clear(); last_error.clear(); }
// The log as one text; the caller copies it before the next call.
const char* double_log() {
  static auto& text = *new std::string;
  std::lock_guard<std::mutex> held(lock);
  text.clear();
  for (auto& line : lines) text += line + "\n";
  return text.c_str();
}
}
