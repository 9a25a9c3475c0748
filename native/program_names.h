// The names by which kernels/schedule.py asks for instructions and phases.
#pragma once
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "program.h"

namespace bitwright {

inline const std::unordered_map<std::string, Code> kCodes = {
    {"embed", Code::embed},
    {"hidden", Code::hidden},
    {"angles", Code::angles},
    {"rms_norm", Code::rms_norm},
    {"load", Code::load},
    {"bias", Code::bias},
    {"rope", Code::rope},
    {"store", Code::store},
    {"glu_silu", Code::glu_silu},
    {"glu_gelu_tanh", Code::glu_gelu},
    {"glu_clamped", Code::glu_clamped},
    {"glu_sigmoid", Code::glu_sigmoid},
    {"glu_identity", Code::glu_identity},
    {"add", Code::add},
    {"scale", Code::scale},
    {"softcap", Code::softcap},
    {"temperature", Code::temperature},
    {"select", Code::select},
    {"copy", Code::copy},
    {"join", Code::join},
    {"decay", Code::decay},
    {"gate", Code::gate},
    {"linear", Code::linear},
    {"attention", Code::attention},
    {"convolve", Code::convolve},
    {"convolve_silu", Code::convolve_silu},
    {"delta_grouped", Code::delta_grouped},
    {"delta_tiled", Code::delta_tiled},
    {"scan", Code::scan},
    {"observe", Code::observe},
    {"route_softmax", Code::route},
    {"route_sigmoid", Code::route_sigmoid},
    {"route_share", Code::route_share},
    {"every", Code::every},
    {"reweigh", Code::reweigh},
    {"combine", Code::combine},
    {"group", Code::group},
    {"load_experts", Code::load_experts},
    {"experts", Code::experts},
    {"observe_experts", Code::observe_experts},
    {"bias_experts", Code::bias_experts},
};
inline const std::unordered_map<std::string, PhaseKind> kPhases = {
    {"rows", PhaseKind::rows},     {"linears", PhaseKind::linears}, {"attention", PhaseKind::attention},
    {"states", PhaseKind::states}, {"observe", PhaseKind::observe}, {"group", PhaseKind::group}};

template <typename T>
T named(const std::unordered_map<std::string, T>& names, const std::string& name) {
  const auto found = names.find(name);
  if (found == names.end()) throw std::invalid_argument("the executor has no instruction or phase named " + name);
  return found->second;
}

}  // namespace bitwright
