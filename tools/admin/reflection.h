// What a gRPC server says about itself through server reflection (v1alpha): services, and the types of their messages.
//
// The request and reply types of reflection itself come from libgrpc++_reflection's own descriptors, as dynamic
// messages: Debian installs no header for them. Threads: one. Every call has the given deadline.
#pragma once

#include <grpcpp/channel.h>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::admin {

class Reflection {
 public:
  Reflection(std::shared_ptr<grpc::Channel> channel, std::chrono::milliseconds timeout);

  Result<std::vector<std::string>> list_services();
  // kNotFound names the services there are.
  Result<const google::protobuf::ServiceDescriptor*> find_service(const std::string& name);
  const google::protobuf::DescriptorPool& pool() const { return pool_; }

 private:
  Result<std::unique_ptr<google::protobuf::Message>> ask(const std::string& field, const std::string& value);

  std::shared_ptr<grpc::Channel> channel_;
  std::chrono::milliseconds timeout_;
  google::protobuf::SimpleDescriptorDatabase database_;
  google::protobuf::DescriptorPool pool_{&database_};
};

}  // namespace tidemark::admin
