// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that who builds Backtrail does not fetch what only benchmarks need.
let package = Package(
  name: "benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "backtrail", path: ".."),
    // Without its traits: they are about counting allocations, which tests do.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    // The plugin takes for benchmarks what lies directly in a folder of that name.
    .executableTarget(
      name: "BacktrailBenchmarks",
      dependencies: [
        .product(name: "Backtrail", package: "backtrail"), .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "BacktrailBenchmarks",
      swiftSettings: [.swiftLanguageMode(.v6)],
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    // Measures what Peers/checkpoints.py measures of other codecs.
    .executableTarget(
      name: "checkpoint-bench",
      dependencies: [.product(name: "Backtrail", package: "backtrail")],
      path: "Peers/CheckpointBench",
      swiftSettings: [.swiftLanguageMode(.v6)]),
  ]
)
