// Loads a SavedModel as TF Serving does, and runs requests.
//
//   load_saved_model MODEL_DIR REQUEST_DIR...
//
// A request is a folder with a file `signature`, its name, and a serialized
// TensorProto `NAME.in` for each input. Each output is written beside them as
// `NAME.out`; a request that fails leaves its status in `error` instead.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/session_options.h"

namespace {

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string Run(const tensorflow::SavedModelBundleLite& model,
                const std::filesystem::path& request) {
  const auto& signatures = model.GetSignatures();
  const auto signature = signatures.find(Read(request / "signature"));
  if (signature == signatures.end()) return "There is no such signature.";
  std::vector<std::pair<std::string, tensorflow::Tensor>> inputs;
  for (const auto& [name, info] : signature->second.inputs()) {
    const auto path = request / (name + ".in");
    if (!std::filesystem::exists(path)) continue;  // It has a default.
    tensorflow::TensorProto proto;
    tensorflow::Tensor tensor;
    if (!proto.ParseFromString(Read(path)) || !tensor.FromProto(proto)) {
      return "The input must be a TensorProto: " + path.string();
    }
    inputs.emplace_back(info.name(), tensor);
  }
  std::vector<std::string> names, fetches;
  for (const auto& [name, info] : signature->second.outputs()) {
    names.push_back(name);
    fetches.push_back(info.name());
  }
  std::vector<tensorflow::Tensor> outputs;
  const auto status = model.GetSession()->Run(inputs, fetches, {}, &outputs);
  if (!status.ok()) return status.ToString();
  for (size_t i = 0; i < names.size(); ++i) {
    tensorflow::TensorProto proto;
    outputs[i].AsProtoField(&proto);
    Write(request / (names[i] + ".out"), proto.SerializeAsString());
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: load_saved_model MODEL_DIR REQUEST_DIR...\n";
    return 2;
  }
  tensorflow::SavedModelBundleLite model;
  const auto status = tensorflow::LoadSavedModel(
      tensorflow::SessionOptions(), tensorflow::RunOptions(), argv[1],
      {"serve"}, &model);
  if (!status.ok()) {
    std::cerr << status.ToString() << "\n";
    return 1;
  }
  for (int i = 2; i < argc; ++i) {
    const std::string error = Run(model, argv[i]);
    if (!error.empty()) {
      Write(std::filesystem::path(argv[i]) / "error", error);
    }
  }
  return 0;
}
