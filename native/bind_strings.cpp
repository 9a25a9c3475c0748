// The strings of a GGUF array, for Python: found without decoding them. Checks the arguments.
#include <algorithm>
#include <bitset>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bitwright {
namespace {

using ByteArray = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::tuple<int64_t, int64_t, int64_t> skip_strings(const ByteArray& bytes, int64_t at, int64_t count) {
  if (at < 0) throw std::invalid_argument("at must not be negative, got " + std::to_string(at));
  const auto size = static_cast<int64_t>(bytes.size());
  int64_t before = at, found = 0;
  for (uint64_t length = 0; found < count && at <= size - 8; ++found) {
    std::memcpy(&length, bytes.data() + at, 8);
    if (length > static_cast<uint64_t>(size - 8 - at)) break;
    before = std::exchange(at, at + 8 + static_cast<int64_t>(length));
  }
  return {at, before, found};
}

nb::object decoded(std::string_view text) {
  PyObject* const found = PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "surrogateescape");
  if (!found) throw nb::python_error();
  return nb::steal(found);
}

bool is_utf8(const std::string& text) {
  PyObject* const found = PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), nullptr);
  if (!found) PyErr_Clear();
  Py_XDECREF(found);
  return found;
}

class Strings {
 public:
  Strings(nb::bytes region, int64_t count) : region_(std::move(region)) {
    const char* at = region_.c_str();
    const char* const end = at + region_.size();
    texts_.reserve(std::min(region_.size() / 8, size_t(std::max<int64_t>(count, 0))));
    for (int64_t i = 0; i < count; ++i) {
      uint64_t length = 0;
      if (end - at >= 8) std::memcpy(&length, at, 8);
      if (end - at < 8 || length > uint64_t(end - at - 8))
        throw std::runtime_error("expected " + std::to_string(count) + " strings in " + std::to_string(region_.size()) +
                                 " bytes, got " + std::to_string(i));
      texts_.emplace_back(at + 8, length);
      at += 8 + length;
    }
  }

  size_t size() const { return texts_.size(); }

  nb::object text(int64_t index) const {
    if (index < 0 || size_t(index) >= texts_.size()) throw std::out_of_range("no such string");
    return decoded(texts_[size_t(index)]);
  }

  nb::list all() const {
    nb::list found;
    for (const std::string_view text : texts_) found.append(decoded(text));
    return found;
  }

  std::vector<size_t> places(const std::vector<std::string_view>& wanted) const {
    return among({wanted.begin(), wanted.end()});
  }

  std::vector<size_t> inside(std::string_view text) const {
    const size_t most = longest();
    std::unordered_set<std::string_view> parts;
    parts.reserve(text.size() * most);
    for (size_t from = 0; from < text.size(); from = next(text, from))
      for (size_t to = from, length = 0; to < text.size() && length < most; ++length) {
        to = next(text, to);
        parts.insert(text.substr(from, to - from));
      }
    return among(parts);
  }

  bool readable() const {
    std::string some;  // what is between zeros is UTF-8 if all of it is
    for (const std::string_view text : texts_) {
      if (text.empty()) return false;
      some.append(text).push_back('\0');
      if (some.size() < 4096) continue;
      if (!is_utf8(some)) return false;
      some.clear();
    }
    return is_utf8(some);
  }

  size_t longest() const {
    size_t most = 0;
    for (const std::string_view text : texts_) most = std::max(most, size_t(std::ranges::count_if(text, begins)));
    return most;
  }

 private:
  static bool begins(char byte) { return (byte & 0xC0) != 0x80; }  // a character, in UTF-8

  static size_t next(std::string_view text, size_t at) {
    do ++at;
    while (at < text.size() && !begins(text[at]));
    return at;
  }

  std::vector<size_t> among(const std::unordered_set<std::string_view>& wanted) const {
    std::bitset<1 << 16> kinds;  // of lengths and first bytes: few strings have one that is wanted
    const auto kind = [](std::string_view text) {
      return (text.size() % 256) << 8 | (text.empty() ? 0 : static_cast<unsigned char>(text[0]));
    };
    for (const std::string_view text : wanted) kinds.set(kind(text));
    std::vector<size_t> found;
    for (size_t i = 0; i < texts_.size(); ++i)
      if (kinds[kind(texts_[i])] && wanted.contains(texts_[i])) found.push_back(i);
    return found;
  }

  nb::bytes region_;
  std::vector<std::string_view> texts_;
};

}  // namespace

void bind_strings(nb::module_& m) {
  m.def("skip_strings", skip_strings, "As bitwright.kernels.mapping.skip_strings.", "bytes"_a, "at"_a, "count"_a);
  nb::class_<Strings>(m, "Strings", "As bitwright.kernels.strings.Strings.")
      .def(nb::init<nb::bytes, int64_t>(), "region"_a, "count"_a)
      .def("__len__", &Strings::size)
      .def("text", &Strings::text, "index"_a)
      .def("all", &Strings::all)
      .def("places", &Strings::places, "wanted"_a)
      .def("inside", &Strings::inside, "text"_a)
      .def_prop_ro("readable", &Strings::readable)
      .def_prop_ro("longest", &Strings::longest);
}

}  // namespace bitwright
