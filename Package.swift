// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  // `associatedtype Workspace: ~Copyable` in `UpdateMap` and its like; see Docs/Decisions.md.
  .enableExperimentalFeature("SuppressedAssociatedTypes"),
]

let package = Package(
  name: "backtrail",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "Backtrail", targets: ["Replay"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.0.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .systemLibrary(
      name: "CXXHash", pkgConfig: "libxxhash",
      providers: [.apt(["libxxhash-dev"]), .brew(["xxhash"])]),
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),

    .target(
      name: "Tensors", dependencies: ["COpenBLAS", "CXXHash"],
      swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
    .target(name: "Networks", dependencies: ["Tensors"], swiftSettings: strict),
    .target(
      name: "Replay",
      dependencies: ["Tensors", .product(name: "HeapModule", package: "swift-collections")],
      swiftSettings: strict),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors"], swiftSettings: strict),
    .testTarget(name: "ReplayTests", dependencies: ["Replay"], swiftSettings: strict),
    .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
    .testTarget(name: "NetworksTests", dependencies: ["Networks", "TestSupport"], swiftSettings: strict),
  ]
)
