# How this project makes its targets: one core and one I/O library per folder, programs, protobuf libraries, tests.
option(TIDEMARK_WERROR "warnings are errors" ON)
set(TIDEMARK_SANITIZE "" CACHE STRING "address,undefined or thread")

# What every target of this build is compiled with; users of the installed library get only what its headers need.
add_library(tidemark_options INTERFACE)
target_include_directories(tidemark_options INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>
  $<INSTALL_INTERFACE:include/tidemark>)
set(flags -Wall -Wextra -Wshadow -Wnon-virtual-dtor $<$<BOOL:${TIDEMARK_WERROR}>:-Werror>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND flags -march=x86-64-v2)
endif()
target_compile_options(tidemark_options INTERFACE "$<BUILD_INTERFACE:${flags}>")
target_compile_features(tidemark_options INTERFACE cxx_std_23)
target_compile_definitions(tidemark_options INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION
  $<BUILD_INTERFACE:SPDLOG_FMT_EXTERNAL> $<BUILD_INTERFACE:TIDEMARK_VERSION="${PROJECT_VERSION}">)
target_link_options(tidemark_options INTERFACE $<BUILD_INTERFACE:-fuse-ld=lld-19>)
target_link_libraries(tidemark_options INTERFACE Threads::Threads)

if(TIDEMARK_SANITIZE STREQUAL "address,undefined")
  # The costly half of UBSan (null, alignment, vptr, …) triples compile time and is left out on purpose.
  add_compile_options(-fsanitize=address,undefined $<$<CXX_COMPILER_ID:Clang>:-fsanitize=fuzzer-no-link> -fno-sanitize-recover=all -fno-omit-frame-pointer
    -fno-sanitize=null,alignment,vptr,object-size,return,nonnull-attribute,returns-nonnull-attribute)
  add_link_options(-fsanitize=address,undefined)
elseif(TIDEMARK_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()

# tidemark_folder(NAME CORE_DEPS ... IO_DEPS ...): every *.cpp outside io/ is the core, every io/*.cpp the shell.
function(tidemark_folder name)
  cmake_parse_arguments(A "" "" "CORE_DEPS;IO_DEPS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.cpp)
  set(io_sources ${all})
  list(FILTER io_sources INCLUDE REGEX "/io/[^/]*\\.cpp$")
  set(core_sources ${all})
  list(FILTER core_sources EXCLUDE REGEX "/(io|testing|example|grpc)/[^/]*\\.cpp$|/main\\.cpp$")
  list(FILTER io_sources EXCLUDE REGEX "/asio_impl\\.cpp$")
  if(core_sources)
    add_library(tidemark_${name} STATIC ${core_sources})
    target_link_libraries(tidemark_${name} PUBLIC tidemark_options ${A_CORE_DEPS})
  else()
    add_library(tidemark_${name} INTERFACE)
    target_link_libraries(tidemark_${name} INTERFACE tidemark_options ${A_CORE_DEPS})
  endif()
  if(io_sources)
    add_library(tidemark_${name}_io STATIC ${io_sources})
    target_link_libraries(tidemark_${name}_io PUBLIC tidemark_${name} ${A_IO_DEPS})
  else()
    add_library(tidemark_${name}_io INTERFACE)
    target_link_libraries(tidemark_${name}_io INTERFACE tidemark_${name} ${A_IO_DEPS})
  endif()
endfunction()

# tidemark_program(NAME SOURCES ... DEPS ...): a program; skipped with a message while its sources do not exist.
function(tidemark_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  foreach(source ${A_SOURCES})
    if(NOT IS_ABSOLUTE ${source} AND NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
      message(STATUS "${name}: ${source} is missing, the program is left out")
      return()
    endif()
  endforeach()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE tidemark_options ${A_DEPS})
endfunction()

# tidemark_proto(NAME PROTOS ...): one static library of generated messages and services, compiled without warnings.
function(tidemark_proto name)
  cmake_parse_arguments(A "" "" "PROTOS;DEPS" ${ARGN})
  set(gen ${CMAKE_BINARY_DIR}/gen)
  set(out "")
  foreach(proto ${A_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    get_filename_component(dir ${gen}/${proto} DIRECTORY)
    file(MAKE_DIRECTORY ${dir})
    add_custom_command(
      OUTPUT ${gen}/${stem}.pb.cc ${gen}/${stem}.pb.h ${gen}/${stem}.grpc.pb.cc ${gen}/${stem}.grpc.pb.h
      COMMAND protobuf::protoc -I ${CMAKE_SOURCE_DIR} --cpp_out=${gen} --grpc_out=${gen}
              --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} ${CMAKE_SOURCE_DIR}/${proto}
      DEPENDS ${CMAKE_SOURCE_DIR}/${proto} VERBATIM)
    list(APPEND out ${gen}/${stem}.pb.cc ${gen}/${stem}.grpc.pb.cc)
  endforeach()
  add_library(${name} STATIC ${out})
  target_include_directories(${name} SYSTEM PUBLIC ${gen})
  target_compile_options(${name} PRIVATE -w -O1)
  target_link_libraries(${name} PUBLIC gRPC::grpc++ protobuf::libprotobuf ${A_DEPS})
endfunction()

# tidemark_test(NAME SOURCES ... DEPS ... [LABEL L] [TIMEOUT S]): a GoogleTest binary, one ctest entry per test.
function(tidemark_test name)
  cmake_parse_arguments(A "" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT A_SOURCES)
    return()
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 60)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE tidemark_options ${A_DEPS} GTest::gmock GTest::gtest_main)
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX ${name}. PROPERTIES LABELS "${A_LABEL}" TIMEOUT ${A_TIMEOUT})
endfunction()

add_library(tidemark_asio STATIC ${CMAKE_SOURCE_DIR}/base/io/asio_impl.cpp)
target_link_libraries(tidemark_asio PUBLIC tidemark_options Boost::headers OpenSSL::SSL)
target_compile_options(tidemark_asio PRIVATE -w)

# tidemark_embed(TARGET FILE HEADER FUNCTION): the text of FILE as std::string_view FUNCTION(), declared in HEADER.
function(tidemark_embed target file header function)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
  file(READ ${CMAKE_SOURCE_DIR}/${file} text)
  set(out ${CMAKE_BINARY_DIR}/gen/${file}.cpp)
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT [[
#include "@header@"

namespace tidemark::shardrouter {

std::string_view @function@() {
  return R"EMBEDDED(@text@)EMBEDDED";
}

}  // namespace tidemark::shardrouter
]])
  target_sources(${target} PRIVATE ${out})
endfunction()
