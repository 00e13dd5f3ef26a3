import Replay
import Tensors
import Testing

/// Sequences written out batch by batch as in DESIGN's table of orders.
enum SpelledOut {
  static func batches(_ order: CompositionOrder, _ n: Int) -> [Int] {
    func down(_ from: Int, _ to: Int) -> [Int] { Array(stride(from: from, through: to, by: -1)) }
    func up(_ from: Int, _ to: Int) -> [Int] { Array(stride(from: from, through: to, by: 1)) }
    switch order {
    case .forward: return up(1, n)
    case .backward: return down(n, 1)
    case .tail(let size): return n <= size ? down(n, 1) : up(size + 1, n) + down(size, 1)
    case .splice(let size): return n <= size ? down(n, 1) : up(1, n - size) + down(size, 1)
    case .window(let size): return n <= size ? down(n, 1) : up(1, n - size) + down(n, n - size + 1)
    case .sliding(let size): return n == 0 ? [] : batches(order, n - 1) + down(n, max(1, n - size + 1))
    case .slidingForward(let size): return n == 0 ? [] : batches(order, n - 1) + up(max(1, n - size + 1), n)
    case .flipflop(let size):
      var all: [Int] = []
      var epoch = 0
      while all.count < n {
        all += up(epoch * size + 1, (epoch + 1) * size) + down((epoch + 1) * size, epoch * size + 1)
        epoch += 1
      }
      return Array(all.prefix(n))
    case .reshuffled(let size), .paired(let size):
      var all: [Int] = []
      for epoch in 0..<(n + size - 1) / size {
        let permutation = KeyedPermutation(count: size, source: RandomSource(seed: 0, purpose: .ordering), index: epoch)
        let batches = (0..<size).map { epoch * size + 1 + permutation($0) }
        all += batches
        if case .paired = order { all += batches.reversed() }
      }
      return Array(all.prefix(n))
    case .randomOrder(let number):
      guard n > 0 else { return [] }
      let permutation = KeyedPermutation(count: n, source: RandomSource(seed: UInt64(number), purpose: .ordering), index: n)
      return (0..<n).map { permutation($0) + 1 }
    case .blocks(let size):
      return stride(from: 0, to: n, by: size).reversed().flatMap { up($0 + 1, min(n, $0 + size)) }
    case .listed(let list): return list.sequences[n - 1].runs.flatMap { run in (0..<run.count).map { run[$0] } }
    }
  }

  /// All orders with sizes from 1 to `maximumSize`.
  static func orders(maximumSize: Int) -> [CompositionOrder] {
    let sized: [(Int) -> CompositionOrder] = [
      CompositionOrder.tail, CompositionOrder.splice, CompositionOrder.window, CompositionOrder.sliding, CompositionOrder.slidingForward,
      CompositionOrder.flipflop, CompositionOrder.blocks, CompositionOrder.reshuffled, CompositionOrder.paired,
      CompositionOrder.randomOrder,
    ]
    return [.forward, .backward] + sized.flatMap { make in (1...maximumSize).map(make) }
  }
}

extension BatchSequence {
  var spelledOut: [Int] { runs.flatMap { run in (0..<run.count).map { run[$0] } } }
}

@Suite struct BatchSequenceTests {
  @Test(arguments: SpelledOut.orders(maximumSize: 5))
  func ordersMatchTheirTable(order: CompositionOrder) {
    for n in 0...23 {
      let sequence = order.sequence(n)
      let expected = SpelledOut.batches(order, n)
      #expect(sequence.spelledOut == expected, "\(order) at \(n)")
      #expect(sequence.count == expected.count)
    }
  }

  @Test(arguments: SpelledOut.orders(maximumSize: 4))
  func anyStretchCanBeRead(order: CompositionOrder) {
    let sequence = order.sequence(13)
    let expected = SpelledOut.batches(order, 13)
    for start in 0...expected.count {
      for end in start...expected.count {
        let stretch = sequence.runs(in: start..<end).flatMap { run in (0..<run.count).map { run[$0] } }
        #expect(stretch == Array(expected[start..<end]))
      }
      if start < expected.count { #expect(sequence[start] == expected[start]) }
    }
  }

  @Test func comparisonsSeeBatchesNotRuns() {
    let orders = SpelledOut.orders(maximumSize: 4)
    let sequences = orders.flatMap { order in (0...9).map { order.sequence($0) } }
    let spelledOut = sequences.map(\.spelledOut)
    for i in sequences.indices {
      for j in sequences.indices {
        let shared = zip(spelledOut[i], spelledOut[j]).prefix { $0 == $1 }.count
        #expect(sequences[i].commonPrefixCount(with: sequences[j]) == shared)
        #expect((sequences[i] < sequences[j]) == spelledOut[i].lexicographicallyPrecedes(spelledOut[j]))
        #expect((sequences[i] == sequences[j]) == (spelledOut[i] == spelledOut[j]))
      }
    }
  }

  @Test func hugeSequencesAreCheap() {
    let n = 1_000_000_000
    for order in SpelledOut.orders(maximumSize: 3) + [.sliding(1000), .blocks(17), .flipflop(1000), .reshuffled(1000), .paired(n / 3), .reshuffled(n)] {
      let sequence = order.sequence(n)
      #expect(sequence.commonPrefixCount(with: order.sequence(n)) == sequence.count)
      #expect(sequence[sequence.count - 1] >= 1 && sequence.largestBatch >= n / 3)
    }
    #expect(CompositionOrder.sliding(3).sequence(n).count == 3 * n - 3)
  }

  /// Every order of the batches of an epoch is as likely as any other, and no epoch says anything of another.
  @Test func shuffledOrdersAreRandom() throws {
    for size in [1, 2, 3, 7, 50] {
      for epoch in 0..<20 {
        let batches = Array(CompositionOrder.reshuffled(size).sequence((epoch + 1) * size).spelledOut.suffix(size))
        #expect(batches.sorted() == Array(epoch * size + 1...(epoch + 1) * size))
        let pair = Array(CompositionOrder.paired(size).sequence(2 * (epoch + 1) * size).spelledOut.suffix(2 * size))
        #expect(pair == batches + batches.reversed())
      }
    }
    // Three batches have six orders; the counts of 6,000 draws lie within five standard deviations of 1,000.
    func check(_ draws: [[Int]]) {
      let counts = Dictionary(grouping: draws) { $0 }.mapValues(\.count)
      #expect(counts.count == 6 && counts.values.allSatisfy { abs($0 - 1000) < 145 }, "\(counts)")
    }
    let epochs = CompositionOrder.reshuffled(3).sequence(18_000).spelledOut
    check((0..<6000).map { epoch in (0..<3).map { epochs[3 * epoch + $0] - 3 * epoch } })
    check((1...6000).map { CompositionOrder.randomOrder($0).sequence(3).spelledOut })
    // Orders differ between n too.
    #expect(Set((0..<40).map { CompositionOrder.randomOrder(1).sequence(60 + $0).spelledOut.filter { $0 <= 60 } }).count == 40)
  }

  @Test func aSampleOfOrdersIsEachOfThem() throws {
    #expect(try CompositionOrder.specifications("random-orders:3") == ["random-order:1", "random-order:2", "random-order:3"])
    #expect(try CompositionOrder.specifications("tail:3") == ["tail:3"] && CompositionOrder.specifications("") == [""])
    for text in ["random-orders", "random-orders:", "random-orders:0", "random-orders:1001", "random-orders:2:3"] {
      #expect(throws: OrderError.self) { try CompositionOrder.specifications(text) }
    }
  }

  @Test func textGoesBothWays() throws {
    for text in ["120-1", "1-60,120-61", "5", "3,2-2"] {
      #expect(try BatchSequence(parsing: BatchSequence(parsing: text).description) == BatchSequence(parsing: text))
    }
    #expect(try BatchSequence(parsing: " 1 - 3 , 9").spelledOut == [1, 2, 3, 9])
    for text in ["", "1-", "-3", "0-4", "1-2-3", "a", "1,,2", "99999999999999999999"] {
      #expect(throws: OrderError.self) { try BatchSequence(parsing: text) }
    }
  }

  @Test func ordersAreReadBack() throws {
    for order in SpelledOut.orders(maximumSize: 3) {
      #expect(try CompositionOrder(order.description) == order)
    }
    for text in ["", "sideways", "tail", "tail:", "tail:0", "tail:-1", "tail:x", "forward:3", "window:1.5", "blocks:2000000000"] {
      #expect(throws: OrderError.self) { try CompositionOrder(text) }
    }
  }

  @Test func listedOrders() throws {
    let order = try ListedOrder(name: "file:x", text: "1\r\n2-1\n3-1,1-2\n")
    #expect(order.sequences.map(\.spelledOut) == [[1], [2, 1], [3, 2, 1, 1, 2]])
    #expect(throws: OrderError.unreadableLine(order: "file:x", line: 2, text: "2-")) {
      try ListedOrder(name: "file:x", text: "1\n2-\n")
    }
    #expect(throws: OrderError.empty(order: "file:x")) { try ListedOrder(name: "file:x", text: "") }
  }
}

@Suite struct EvaluationScheduleTests {
  @Test func points() throws {
    #expect(try EvaluationSchedule("every:3").points(steps: 9) == [3, 6, 9])
    #expect(try EvaluationSchedule("every:4").points(steps: 9) == [4, 8, 9])
    #expect(try EvaluationSchedule("every:20").points(steps: 9) == [9])
    #expect(try EvaluationSchedule("log:4").points(steps: 1000) == [1, 10, 100, 1000])
    #expect(try EvaluationSchedule("log:50").points(steps: 10) == Array(1...10))
    #expect(try EvaluationSchedule("log:1").points(steps: 10) == [10])
    #expect(try EvaluationSchedule("log:5").points(steps: 1) == [1])
    #expect(try EvaluationSchedule("at:5,1,5").points(steps: 9) == [1, 5])
    #expect(throws: ScheduleError.outside(10, steps: 9)) { try EvaluationSchedule("at:10").points(steps: 9) }
  }

  @Test(arguments: ["", "every", "every:0", "every:x", "every:1,2", "log:-1", "at:", "at:1,,2", "at:0", "often:3"])
  func unreadable(text: String) {
    #expect(throws: ScheduleError.unreadable(text)) { try EvaluationSchedule(text) }
  }
}
