// swift-tools-version: 6.2
import PackageDescription

// A package of its own, since it is built with the fuzzer's instrumentation: see `make fuzz`.
let package = Package(
  name: "fuzz",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "backtrail", path: "..")],
  targets: [
    .executableTarget(
      name: "fuzz",
      dependencies: [.product(name: "HostileInputs", package: "backtrail")],
      path: "Fuzz",
      swiftSettings: [.swiftLanguageMode(.v6)]),
  ]
)
