import Datasets
import TestSupport
import Testing

@Suite struct BatchSamplerTests {
  func batch(_ number: Int, of sampler: BatchSampler) -> [Int] {
    var indices = [Int](repeating: -1, count: sampler.batchSize)
    sampler.fill(&indices, batch: number)
    return indices
  }

  /// Although batches straddle epochs, the part of the stream in each epoch contains each example once.
  @Test(arguments: [(10, 4), (7, 7), (1, 1), (97, 10), (1437, 32)])
  func shuffleUsesEachExampleOnceAnEpoch(exampleCount: Int, batchSize: Int) throws {
    let sampler = try BatchSampler(method: .shuffle, seed: 4, exampleCount: exampleCount, batchSize: batchSize)
    #expect(sampler.batchCount == nil)
    let epochs = 5
    let batches = (epochs * exampleCount + batchSize - 1) / batchSize
    let stream = (1...batches).flatMap { batch($0, of: sampler) }
    var orders: Set<[Int]> = []
    for epoch in 0..<epochs {
      let order = Array(stream[epoch * exampleCount..<(epoch + 1) * exampleCount])
      #expect(order.sorted() == Array(0..<exampleCount))
      orders.insert(order)
    }
    #expect(orders.count == (exampleCount > 1 ? epochs : 1), "each epoch has an order of its own")
  }

  /// Runs identify their batches by seed and number, so the meaning of these must not change.
  @Test func batchesStay() throws {
    let shuffle = try BatchSampler(method: .shuffle, seed: 1, exampleCount: 1000, batchSize: 4)
    #expect(batch(1, of: shuffle) == [746, 936, 573, 10])
    #expect(batch(1_000_000, of: shuffle) == [339, 79, 720, 963])
    let replacement = try BatchSampler(method: .replacement, seed: 1, exampleCount: 1000, batchSize: 4)
    #expect(batch(1, of: replacement) == [383, 933, 796, 617])
    #expect(batch(1_000_000, of: replacement) == [567, 40, 356, 818])
  }

  @Test func batchesDependOnSeedAndNumberAlone() throws {
    for method in [BatchSampler.Method.shuffle, .replacement] {
      let sampler = try BatchSampler(method: method, seed: 9, exampleCount: 100, batchSize: 8)
      let again = try BatchSampler(method: method, seed: 9, exampleCount: 100, batchSize: 8)
      let other = try BatchSampler(method: method, seed: 10, exampleCount: 100, batchSize: 8)
      let upwards = (1...200).map { batch($0, of: sampler) }
      let downwards = (1...200).reversed().map { batch($0, of: again) }
      #expect(upwards == downwards.reversed())
      #expect(upwards != (1...200).map { batch($0, of: other) })
    }
  }

  @Test func replacementDrawsUniformly() throws {
    let sampler = try BatchSampler(method: .replacement, seed: 2, exampleCount: 50, batchSize: 10)
    var counts = [Int](repeating: 0, count: 50)
    for number in 1...5000 {
      for index in batch(number, of: sampler) { counts[index] += 1 }
    }
    #expect(abs(chiSquareDeviation(counts)) < 5)
  }

  @Test func impossibleSizesAreRefused() {
    for (exampleCount, batchSize) in [(10, 11), (10, 0), (10, -1), (0, 1)] {
      let error = failure {
        try BatchSampler(method: .shuffle, seed: 1, exampleCount: exampleCount, batchSize: batchSize)
      }
      #expect(error?.isImpossible == true)
    }
  }

  @Test func evaluationSubsetsAreNestedAndSorted() throws {
    let examples = try Dataset.load("digits").test
    let few = try examples.evaluationIndices(atMost: 50)
    let more = try examples.evaluationIndices(atMost: 200)
    #expect(few.count == 50 && Set(few).count == 50 && few == few.sorted())
    #expect(Set(few).isSubset(of: more))
    #expect(few != Array(0..<50))
    for all in [nil, 360, 1000] { #expect(try examples.evaluationIndices(atMost: all) == Array(0..<360)) }
    #expect(failure { try examples.evaluationIndices(atMost: 0) }?.isImpossible == true)
  }
}

@Suite struct ImportedBatchesTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func read(_ text: String) throws -> ImportedBatches {
    try ImportedBatches.read(path: try folder.write(text, to: "batches.txt"))
  }

  @Test func readsALineABatch() throws {
    let batches = try read("3 1\r\n0, 2\n1\t1\n\n")
    #expect(batches.count == 3)
    #expect(batches.batchSize == 2)
    let sampler = try BatchSampler(method: .imported(batches), seed: 1, exampleCount: 4, batchSize: 2)
    #expect(sampler.batchCount == 3)
    var indices = [0, 0]
    var all: [[Int]] = []
    for number in 1...3 {
      sampler.fill(&indices, batch: number)
      all.append(indices)
    }
    #expect(all == [[3, 1], [0, 2], [1, 1]])
    #expect(try read("3 1\n0 2\n1 1").fingerprint == batches.fingerprint)
    #expect(try read("3 1 0 2\n1 1 0 0").fingerprint != read("3 1\n0 2\n1 1\n0 0").fingerprint)
  }

  @Test(arguments: [("1 2\n3 x\n", 2), ("1 2\n3 -1\n", 2), ("1 2\n3\n", 2), ("1 2\n\n3 4\n", 2), ("4294967296\n", 1)])
  func namesTheDamagedLine(text: String, line: Int) {
    #expect(failure { try read(text) }?.place == .line(line))
  }

  @Test func refusesWhatDoesNotFitTheData() throws {
    let batches = try read("0 1\n2 9\n")
    let index = failure { try BatchSampler(method: .imported(batches), seed: 1, exampleCount: 9, batchSize: 2) }
    #expect(index?.place == .line(2))
    let size = failure { try BatchSampler(method: .imported(batches), seed: 1, exampleCount: 10, batchSize: 3) }
    #expect(size?.isImpossible == true)
    #expect(failure { try read("\n\n") }?.isDamaged == true)
    #expect(failure { try ImportedBatches.read(path: folder("none.txt")) }?.isMissing == true)
  }
}
