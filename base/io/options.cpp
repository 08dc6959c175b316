#include "base/io/options.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <limits>

#include "base/parse.h"

namespace tidemark::io {
namespace {

std::string environment_name(const std::string& option) {
  std::string name = "TIDEMARK_" + option;
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string duration_text(Duration duration) {
  if (duration.count() % 1000 != 0) return std::to_string(duration.count()) + "us";
  return std::to_string(to_millis(duration)) + "ms";
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

template <typename T>
std::function<void(const std::string&)> take_number(std::string name, T& target, NumberRange range) {
  range.max = std::min<uint64_t>(range.max, std::numeric_limits<T>::max());
  return [name = std::move(name), &target, range](const std::string& given) {
    auto number = parse_u64(given);
    if (!number || *number < range.min || *number > range.max) {
      throw CLI::ValidationError("--" + name, "\"" + given + "\" is no number from " + std::to_string(range.min) +
                                                  " to " + std::to_string(range.max));
    }
    target = static_cast<T>(*number);
  };
}

}  // namespace

struct Options::Impl {
  std::unique_ptr<CLI::App> owned;  // the root only
  CLI::App* app = nullptr;
  std::string program;
  std::vector<std::string> value_names, flag_names;  // as declared, without dashes
  std::vector<std::unique_ptr<Options>> verbs;
  std::vector<std::string> verb_names;

  CLI::Option* add(const std::string& name, const std::string& type, const std::string& default_text,
                   const std::string& help, std::function<void(const std::string&)> take) {
    value_names.push_back(name);
    auto* option = app->add_option_function<std::string>("--" + name, std::move(take), help);
    option->type_name(type);
    if (!default_text.empty()) option->default_str(default_text);
    return option;
  }

  // The environment stands in front of the command line as if typed there, unless the same option really was typed:
  // CLI11's own envname() would let the config file win over the environment.
  std::vector<std::string> environment_arguments(const std::vector<std::string>& typed) const {
    std::vector<std::string> out;
    auto is_typed = [&](const std::string& name) {
      return std::ranges::any_of(
          typed, [&](const std::string& t) { return t == "--" + name || t.starts_with("--" + name + "="); });
    };
    for (const std::string& name : value_names) {
      const char* value = std::getenv(environment_name(name).c_str());
      if (value != nullptr && !is_typed(name)) out.push_back("--" + name + "=" + value);
    }
    for (const std::string& name : flag_names) {
      const char* value = std::getenv(environment_name(name).c_str());
      if (value != nullptr && !is_typed(name)) out.push_back("--" + name + "=" + value);
    }
    return out;
  }

  std::vector<std::string> known_names() const {
    std::vector<std::string> names{"--help", "--version", "--config"};
    for (const std::string& name : value_names) names.push_back("--" + name);
    for (const std::string& name : flag_names) names.push_back("--" + name);
    for (size_t i = 0; i < verbs.size(); ++i) {
      names.push_back(verb_names[i]);
      if (!verbs[i]->is_chosen()) continue;
      for (const std::string& name : verbs[i]->impl_->known_names()) names.push_back(name);
    }
    return names;
  }

  int refuse(const std::string& why) const {
    std::cerr << program << ": " << why << "\n" << "Run " << program << " --help for what it takes.\n";
    return kExitUsage;
  }

  int refuse_unknown() const {
    std::vector<std::string> rest = app->remaining(true);
    std::string given = rest.empty() ? std::string() : rest.front().substr(0, rest.front().find('='));
    std::string near = nearest_name(given, known_names());
    std::string kind = given.starts_with("-") ? "unknown option "
                       : verbs.empty()        ? "unexpected argument "
                                              : "unknown verb or argument ";
    return refuse(kind + given + (near.empty() ? "" : "; did you mean " + near + "?"));
  }
};

Options::Options(std::string program, std::string about) : impl_(std::make_unique<Impl>()) {
  impl_->owned = std::make_unique<CLI::App>(std::move(about), program);
  impl_->app = impl_->owned.get();
  impl_->program = std::move(program);
  impl_->app->set_version_flag("--version", impl_->program + " " TIDEMARK_VERSION);
  impl_->app->set_config("--config", "", "read options from this TOML file");
  impl_->app->allow_config_extras(CLI::config_extras_mode::error);
  impl_->app->fallthrough();
}
Options::Options(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Options::~Options() = default;

void Options::text(const std::string& name, std::string& target, const std::string& help) {
  impl_->add(name, "TEXT", target, help, [&target](const std::string& given) { target = given; });
}

void Options::texts(const std::string& name, std::vector<std::string>& target, const std::string& help) {
  impl_->value_names.push_back(name);
  impl_->app->add_option("--" + name, target, help)->delimiter(',')->type_name("TEXT,…");
}

void Options::flag(const std::string& name, bool& target, const std::string& help, char letter) {
  impl_->flag_names.push_back(name);
  impl_->app->add_flag((letter != 0 ? std::string("-") + letter + "," : "") + "--" + name, target, help);
}

void Options::number(const std::string& name, uint64_t& target, NumberRange range, const std::string& help) {
  impl_->add(name, "N", std::to_string(target), help, take_number(name, target, range));
}
void Options::number(const std::string& name, uint32_t& target, NumberRange range, const std::string& help) {
  impl_->add(name, "N", std::to_string(target), help, take_number(name, target, range));
}
void Options::number(const std::string& name, uint16_t& target, NumberRange range, const std::string& help) {
  impl_->add(name, "N", std::to_string(target), help, take_number(name, target, range));
}

void Options::real(const std::string& name, double& target, const std::string& help) {
  impl_->app->add_option("--" + name, target, help)->capture_default_str()->type_name("X");
  impl_->value_names.push_back(name);
}

void Options::memory(const std::string& name, uint64_t& target, const std::string& help) {
  impl_->add(name, "SIZE", std::to_string(target), help, [name, &target](const std::string& given) {
    auto bytes = parse_memory_size(given);
    if (!bytes) throw CLI::ValidationError("--" + name, "\"" + given + "\" is no size such as 64mb or 1gb");
    target = *bytes;
  });
}

void Options::duration(const std::string& name, Duration& target, const std::string& help) {
  impl_->add(name, "TIME", duration_text(target), help, [name, &target](const std::string& given) {
    auto duration = parse_duration(given);
    if (!duration) throw CLI::ValidationError("--" + name, "\"" + given + "\" is no time such as 250ms, 5s or 2m");
    target = *duration;
  });
}

void Options::choice(const std::string& name, std::string& target, std::vector<std::string> choices,
                     const std::string& help) {
  std::string all;
  for (const std::string& each : choices) all += (all.empty() ? "" : "|") + each;
  impl_->add(name, all, target, help, [name, &target, choices, all](const std::string& given) {
    if (std::ranges::find(choices, given) == choices.end()) {
      throw CLI::ValidationError("--" + name, "\"" + given + "\" is none of " + all);
    }
    target = given;
  });
}

void Options::require(const std::string& name) {
  impl_->app->get_option("--" + name)->required();
}

void Options::positional(const std::string& name, std::string& target, bool is_required, const std::string& help) {
  impl_->app->add_option(name, target, help)->required(is_required)->type_name("");
}

void Options::positionals(const std::string& name, std::vector<std::string>& target, size_t at_least,
                          const std::string& help) {
  auto* option = impl_->app->add_option(name, target, help)->type_name("");
  if (at_least > 0) option->required()->expected(static_cast<int>(at_least), 1 << 20);
}

Options& Options::verb(const std::string& name, const std::string& about) {
  auto impl = std::make_unique<Impl>();
  impl->app = impl_->app->add_subcommand(name, about);
  impl->app->fallthrough();
  impl->program = impl_->program + " " + name;
  impl_->verb_names.push_back(name);
  impl_->verbs.push_back(std::unique_ptr<Options>(new Options(std::move(impl))));
  return *impl_->verbs.back();
}

bool Options::is_chosen() const {
  return impl_->app->parsed();
}

std::optional<int> Options::parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  std::vector<std::string> all = impl_->environment_arguments(arguments);
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::ranges::reverse(all);  // CLI11 takes a vector from its back
  try {
    impl_->app->parse(std::move(all));
  } catch (const CLI::Success& help) {
    impl_->app->exit(help);
    return kExitOk;
  } catch (const CLI::ExtrasError&) {
    return impl_->refuse_unknown();
  } catch (const CLI::Error& error) {
    return impl_->refuse(error.what());
  }
  bool has_verb =
      impl_->verbs.empty() || std::ranges::any_of(impl_->verbs, [](const auto& verb) {
        return verb->is_chosen() &&
               (verb->impl_->verbs.empty() ||
                std::ranges::any_of(verb->impl_->verbs, [](const auto& inner) { return inner->is_chosen(); }));
      });
  if (!has_verb) return impl_->refuse("a verb is needed");
  return std::nullopt;
}

std::string nearest_name(const std::string& given, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, given.size() / 3) + 1;
  for (const std::string& name : known) {
    size_t distance = edit_distance(given, name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace tidemark::io
