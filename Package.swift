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
    .library(name: "Backtrail", targets: ["Backtrail", "Replay", "Networks", "Datasets", "Formats", "Runs", "Tensors", "Reports", "Theory"]),
    .executable(name: "backtrail", targets: ["BacktrailCLI"]),
    // For the package in Fuzz/.
    .library(name: "HostileInputs", targets: ["HostileInputs"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.0.0"),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    .systemLibrary(
      // Without pkgConfig, which would link it: it is loaded by those who ask for it.
      name: "COpenBLAS",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .systemLibrary(
      name: "CXXHash", pkgConfig: "libxxhash",
      providers: [.apt(["libxxhash-dev"]), .brew(["xxhash"])]),
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd",
      providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),

    .target(name: "CKernels"),
    .target(
      name: "Tensors", dependencies: ["CKernels", "COpenBLAS", "CXXHash"],
      swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
    .target(name: "Networks", dependencies: ["Tensors"], swiftSettings: strict),
    .target(
      name: "Datasets", dependencies: ["Tensors", "CZlib"],
      exclude: ["Resources/README.md"], resources: [.embedInCode("Resources/digits.bin.gz")],
      swiftSettings: strict),
    .target(
      name: "Replay",
      dependencies: ["Tensors", .product(name: "HeapModule", package: "swift-collections")],
      swiftSettings: strict),
    .target(name: "Formats", dependencies: ["Tensors", "CKernels", "CZstd"], swiftSettings: strict),
    .target(
      name: "Runs",
      dependencies: ["Tensors", "Replay", "Formats", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),
    .target(
      name: "Backtrail", dependencies: ["Tensors", "Networks", "Datasets", "Formats", "Replay", "Runs", "Yams"],
      swiftSettings: strict),
    .target(
      name: "Reports", dependencies: [.product(name: "Mustache", package: "swift-mustache")],
      resources: [.embedInCode("Resources/page.mustache")],
      swiftSettings: strict),
    .target(name: "Theory", dependencies: ["Tensors", "Replay", "Runs"], swiftSettings: strict),
    .executableTarget(
      name: "BacktrailCLI",
      dependencies: [
        "Backtrail", "Reports", "Theory",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .target(name: "KernelDigests", dependencies: ["CKernels"], path: "Tests/KernelDigests"),
    .testTarget(
      name: "TensorsTests", dependencies: ["Tensors", "CKernels", "KernelDigests", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "ReplayTests", dependencies: ["Replay", "TestSupport"], swiftSettings: strict),
    .target(name: "TestSupport", dependencies: ["Runs", "Replay", "Formats", "Tensors"], path: "Tests/TestSupport", swiftSettings: strict),
    .target(
      name: "HostileInputs", dependencies: ["Backtrail", "CZstd"], path: "Tests/HostileInputs", swiftSettings: strict),
    .executableTarget(
      name: "PagedRun", dependencies: ["Runs", "TestSupport"], path: "Tests/PagedRun", swiftSettings: strict),
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    .testTarget(
      name: "NetworksTests", dependencies: ["Networks", "Datasets", "Formats", "CAllocations", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "DatasetsTests", dependencies: ["Datasets", "Tensors", "CZlib", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "FormatsTests", dependencies: ["Formats", "CKernels", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "RunsTests", dependencies: ["Runs", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "TheoryTests", dependencies: ["Theory", "Replay", "Runs", "Tensors", "TestSupport"], swiftSettings: strict),
    .testTarget(name: "ReportsTests", dependencies: ["Reports", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "BacktrailTests",
      dependencies: ["Backtrail", "HostileInputs", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "BacktrailCLITests",
      dependencies: ["BacktrailCLI", "PagedRun", "Runs", "Tensors", "TestSupport", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),
  ]
)
