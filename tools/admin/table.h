// Rows of text in aligned columns, for people.
#pragma once

#include <string>
#include <vector>

namespace tidemark::admin {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  // Two spaces between columns, none at line ends.
  std::string to_string() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tidemark::admin
