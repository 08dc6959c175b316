#include "bench/macro/package_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PackageIndex parse(std::string_view text) {
  PackageIndex index;
  index.feed(text);
  index.finish();
  return index;
}

constexpr std::string_view kTwoStanzas =
    "Package: 0ad\nVersion: 0.0.26-3\nDescription: Real-time strategy game of ancient warfare\nTag: game::strategy,\n "
    "uitoolkit::sdl\n"
    "Section: games\nSize: 7891488\n\n"
    "Package: libc6\nVersion: 2.36-9+deb12u7\nSection: libs\nSize: 12\nDescription: GNU C Library: Shared libraries\n";

TEST(PackageIndex, ReadsNameVersionSectionSizeAndTheFirstLineOfTheDescription) {
  EXPECT_THAT(parse(kTwoStanzas).packages(),
              ElementsAre(Package{"0ad", "0.0.26-3", "games", "Real-time strategy game of ancient warfare", 7891488},
                          Package{"libc6", "2.36-9+deb12u7", "libs", "GNU C Library: Shared libraries", 12}));
}

TEST(PackageIndex, ReadsTheSameHoweverTheTextIsCutIntoPieces) {
  const auto whole = parse(kTwoStanzas).packages();
  for (size_t cut = 1; cut < kTwoStanzas.size(); ++cut) {
    PackageIndex index;
    index.feed(kTwoStanzas.substr(0, cut));
    index.feed(kTwoStanzas.substr(cut));
    index.finish();
    ASSERT_EQ(index.packages(), whole) << "cut at " << cut;
  }
}

TEST(PackageIndex, KeepsTheLastStanzaOfAPackageThatComesTwice) {
  const auto index = parse("Package: a\nVersion: 1\n\nPackage: b\nVersion: 1\n\nPackage: a\nVersion: 2\n\n");
  EXPECT_THAT(index.packages(), ElementsAre(Package{"a", "2", "", "", 0}, Package{"b", "1", "", "", 0}));
  EXPECT_EQ(index.duplicates(), 1u);
  EXPECT_EQ(index.stanzas(), 3u);
}

TEST(PackageIndex, CountsAndDescribesMalformedStanzasAndGoesOn) {
  const auto index = parse(
      "Version: 1\n\nPackage: a\n\nPackage: b c\nVersion: 1\n\nPackage: d\nVersion: 1\nSize: big\n\n"
      "Package: e\nVersion: 1\nnonsense\n\nPackage: ok\nVersion: 1\n");
  EXPECT_THAT(index.packages(), ElementsAre(Package{"ok", "1", "", "", 0}));
  EXPECT_EQ(index.malformed(), 5u);
  EXPECT_THAT(index.malformed_examples(),
              ElementsAre(HasSubstr("no Package field"), HasSubstr("no Version field"),
                          HasSubstr("'b c' is not a package name"), HasSubstr("Size 'big'"), HasSubstr("'nonsense'")));
}

TEST(PackageIndex, AMalformedStanzaDoesNotReplaceAGoodOne) {
  const auto index = parse("Package: a\nVersion: 1\n\nPackage: a\nVersion: 2\nSize: -4\n");
  EXPECT_THAT(index.packages(), ElementsAre(Package{"a", "1", "", "", 0}));
}

TEST(PackageIndex, RefusesALineWithoutEndInsteadOfKeepingIt) {
  PackageIndex index;
  index.feed("Package: a\nVersion: 1\nDescription: ");
  for (int i = 0; i < 3; ++i) index.feed(std::string(PackageIndex::kLineBytesMax / 2, 'x'));
  index.feed("\n\nPackage: b\nVersion: 1\n");
  index.finish();
  EXPECT_THAT(index.packages(), ElementsAre(Package{"b", "1", "", "", 0}));
  EXPECT_THAT(index.malformed_examples(), ElementsAre(HasSubstr("longer than")));
}

TEST(PackageIndex, TreatsAnEmptyTextAsNoPackages) {
  EXPECT_EQ(parse("").stanzas(), 0u);
  EXPECT_EQ(parse("\n\n\n").stanzas(), 0u);
}

}  // namespace
}  // namespace tidemark::bench
