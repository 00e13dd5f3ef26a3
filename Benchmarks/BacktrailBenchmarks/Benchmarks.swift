import Benchmark
import Foundation
import Tensors

/// What `swift package benchmark` runs, by subject.
let benchmarks: @Sendable () -> Void = {
  // As for the command, the environment may name a level of SIMD other than the best.
  if let level = ProcessInfo.processInfo.environment["BACKTRAIL_SIMD"], !level.isEmpty, !SIMDLevel.use(level) {
    print("BACKTRAIL_SIMD is '\(level)', which this machine does not have")
    exit(64)
  }
  Benchmark.defaultConfiguration = .init(
    // Throughput says nothing new, but exports in JMH's format want it.
    metrics: [.wallClock, .throughput, processorTime], warmupIterations: 2, maxDuration: .seconds(1), maxIterations: 2000)
  registerPlanner()
  registerJournal()
  registerCheckpoints()
  registerKernels()
  registerUpdates()
  registerRuns()
}

/// Nanoseconds that all threads of the process computed: what ratios are made of. Waiting for a core that others use is not
/// in it, nor is waiting for a disk. The package's own metric of that name counts in steps of 10 ms.
private let processorTime = BenchmarkMetric.custom("processor time", polarity: .prefersSmaller, useScalingFactor: false)

/// Registers a benchmark.
/// - Parameters:
///   - repetitions: how often a sample calls the body, where one call is too short to be timed well. Processor time is
///     that of one call.
///   - setup: makes what the body works on, once and untimed.
///   - prepare: called before each sample, untimed.
///   - body: what is timed.
func measure<Material>(
  _ name: String, repetitions: Int = 1, setup: @escaping () throws -> Material,
  prepare: @escaping (Material) throws -> Void = { _ in }, body: @escaping (Material) async throws -> Void
) {
  let made = Made<Material>()
  Benchmark(
    name,
    closure: { (benchmark: Benchmark) async throws in
      guard let material = made.material else { return benchmark.error("\(name) was not set up") }
      try prepare(material)
      benchmark.startMeasurement()
      let begin = processorNanoseconds()
      for _ in 0..<repetitions { try await body(material) }
      let end = processorNanoseconds()
      benchmark.stopMeasurement()
      benchmark.measurement(processorTime, (end - begin) / repetitions)
    },
    setup: { made.material = try setup() },
    teardown: { made.material = nil })
}

/// What a benchmark works on, until it is torn down: benchmarks themselves live as long as the process, which ends without
/// letting them go, and would leave their files behind.
private final class Made<Material> {
  var material: Material?
}

private func processorNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
}
