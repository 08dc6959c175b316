# Every third-party package the project uses; all of them are Debian 12 packages (tools/packages.txt).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(fmt 9 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(nlohmann_json 3.11 CONFIG REQUIRED)
find_package(Protobuf 3.21 MODULE REQUIRED)   # Debian ships no protobuf-config.cmake; must come before gRPC
find_package(gRPC CONFIG REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
find_package(RocksDB CONFIG REQUIRED)         # rocksdb-shared: RocksDB::rocksdb is the 30 MB static archive
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(PostgreSQL REQUIRED)
pkg_check_modules(PQXX   REQUIRED IMPORTED_TARGET GLOBAL libpqxx>=6.4)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET GLOBAL libxxhash>=0.8)
find_package(GTest CONFIG REQUIRED)
find_package(benchmark CONFIG REQUIRED)
