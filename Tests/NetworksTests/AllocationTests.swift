import CAllocations
import Foundation
import Networks
import Tensors
import Testing

@Suite struct AllocationTests {
  /// Sanitizers use an allocator of their own, which is not counted.
  @Test(.disabled(if: ProcessInfo.processInfo.environment["BACKTRAIL_SANITIZED"] != nil)) func allocationsAreCounted() throws {
    let before = ca_allocations()
    let buffer = try FloatBuffer(count: 10)
    #expect(buffer.count == 10)
    #if os(Linux)
      #expect(ca_allocations() > before)
    #endif
  }

  private static let losses: [any Loss] = [
    CrossEntropy(), CrossEntropy(labelSmoothing: 0.1), MeanSquaredError(), Huber(), BinaryCrossEntropy(),
  ]

  @Test(arguments: losses.indices)
  func noLossOrMeasureAllocates(index: Int) throws {
    let network = try CompiledNetwork(Network(input: [3]) { Dense(5) }, loss: Self.losses[index], batchSize: 4)
    var state = try StateBuffer(count: network.stateCount)
    var workspace = try network.makeWorkspace()
    var measurement = Measurement(network.loss.defaultMeasures, outputs: network.outputCount)
    var counts: [Int] = []
    for update in 0..<4 {
      let before = ca_allocations()
      try network.update(
        &state, learningRate: 0.01, position: update, context: PassContext(isTraining: true), workspace: &workspace)
      try network.evaluate(state, rows: 3, workspace: &workspace, into: &measurement)
      counts.append(ca_allocations() - before)
    }
    #expect(counts.dropFirst().allSatisfy { $0 == 0 }, "\(counts)")
  }

  /// All memory for updates and evaluations is allocated before the first one.
  @Test(arguments: [
    ("mlp:9,8", "sgd", SlotPrecision.float32), ("lenet", "rmsprop", .float32), ("resnet18:2", "sgd", .float32),
    ("resnet50:1", "momentum", .float32), ("gpt:layers=2,heads=2,width=8,context=5,dropout=0.3", "adamw", .float32),
    ("mlp:9,8", "momentum", .eightBit), ("gpt:layers=2,heads=2,width=8,context=5", "adamw", .eightBit),
  ])
  func noUpdateAllocates(model: String, optimizer: String, slots: SlotPrecision) throws {
    let specification = try ModelSpecification(model)
    let description = try specification.network(
      inputShape: specification.context.map { [$0] } ?? [14, 13, 2], outputs: 6)
    let network = try CompiledNetwork(description, loss: CrossEntropy(), batchSize: 4, optimizer: Optimizer(optimizer, slotPrecision: slots))
    for schedule in MemoryCurve(network).points.map(\.schedule) {
      let network = try network.rescheduled(schedule)
      var state = try StateBuffer(count: network.stateCount)
      try network.layout.initialize(&state, seed: 1)
      var workspace = try network.makeWorkspace()
      var counts: [Int] = []
      var measurement = Measurement(network.loss.defaultMeasures, outputs: network.outputCount)
      for update in 0..<4 {
        let before = ca_allocations()
        let context = PassContext(isTraining: true, seed: 5, batch: update + 1)
        try network.update(&state, learningRate: 0.01, position: update, context: context, workspace: &workspace)
        try network.evaluate(state, rows: 3, workspace: &workspace, into: &measurement)
        counts.append(ca_allocations() - before)
      }
      // The first call may still allocate what a thread needs once.
      #expect(counts.dropFirst().allSatisfy { $0 == 0 }, "\(counts)")
    }
  }
}
