// The server of C++ gRPC, by its callback API. It talks to the program that measures as the other servers do (src/worker.rs): a
// line with its address, then a line with what it has used for each line that it reads.
#include <grpcpp/grpcpp.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "speed.grpc.pb.h"

namespace {

using speed::Payload;

class Down final : public grpc::ServerWriteReactor<Payload> {
 public:
  explicit Down(const Payload& request) : message_(request), left_(request.copies()) { Next(); }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (left_-- > 0) {
      // Each message is one of its own, as it is of all others here.
      sent_ = message_;
      StartWrite(&sent_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  Payload message_;
  Payload sent_;
  uint64_t left_;
};

class Up final : public grpc::ServerReadReactor<Payload> {
 public:
  explicit Up(Payload* response) : response_(response) { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok) {
      response_->Swap(&message_);
      StartRead(&message_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnDone() override { delete this; }

 private:
  Payload message_;
  Payload* response_;
};

class Both final : public grpc::ServerBidiReactor<Payload, Payload> {
 public:
  Both() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok) {
      StartWrite(&message_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      StartRead(&message_);
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  Payload message_;
};

class Echo final : public speed::Echo::CallbackService {
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const Payload* request,
                                  Payload* response) override {
    // A server's own work would read the request, and not take it for its response.
    response->CopyFrom(*request);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerReadReactor<Payload>* Up(grpc::CallbackServerContext*, Payload* response) override {
    return new class Up(response);
  }
  grpc::ServerWriteReactor<Payload>* Down(grpc::CallbackServerContext*, const Payload* request) override {
    return new class Down(*request);
  }
  grpc::ServerBidiReactor<Payload, Payload>* Both(grpc::CallbackServerContext*) override {
    return new class Both();
  }
};

long RssBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      long kib = 0;
      status >> kib;
      return kib << 10;
    }
  }
  return 0;
}

void SayUsage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  long micros = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  long seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + micros / 1000000;
  std::cout << "{\"cpu\":{\"secs\":" << seconds << ",\"nanos\":" << micros % 1000000 * 1000
            << "},\"rss_bytes\":" << RssBytes() << "}" << std::endl;
}

}  // namespace

// Its only argument is the core to stay on.
int main(int, char** argv) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(std::atoi(argv[1]), &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) != 0) return 1;

  Echo service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::cout << "\"127.0.0.1:" << port << "\"" << std::endl;
  for (std::string line; std::getline(std::cin, line);) SayUsage();
  std::_Exit(0);
}
