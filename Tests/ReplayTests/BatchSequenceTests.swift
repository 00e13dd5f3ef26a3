import Replay
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
    case .blocks(let size):
      return stride(from: 0, to: n, by: size).reversed().flatMap { up($0 + 1, min(n, $0 + size)) }
    case .listed(let list): return list.sequences[n - 1].runs.flatMap { run in (0..<run.count).map { run[$0] } }
    }
  }

  /// All orders with sizes from 1 to `maximumSize`.
  static func orders(maximumSize: Int) -> [CompositionOrder] {
    let sized: [(Int) -> CompositionOrder] = [
      CompositionOrder.tail, CompositionOrder.splice, CompositionOrder.window, CompositionOrder.sliding, CompositionOrder.slidingForward,
      CompositionOrder.flipflop, CompositionOrder.blocks,
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
    for order in SpelledOut.orders(maximumSize: 3) + [.sliding(1000), .blocks(17), .flipflop(1000)] {
      let sequence = order.sequence(n)
      #expect(sequence.commonPrefixCount(with: order.sequence(n)) == sequence.count)
      #expect(sequence[sequence.count - 1] >= 1)
    }
    #expect(CompositionOrder.sliding(3).sequence(n).count == 3 * n - 3)
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
