import Tensors

/// A rule that gives, for each n, the batch sequence of its n-th iterate.
///
/// All orders start from the same initial state. `forward` and `backward` apply the same n batches: `forward` the
/// oldest first, `backward` the newest first.
public enum CompositionOrder: Hashable, Sendable {
  /// 1 … n: ordinary SGD.
  case forward
  /// n … 1: backward-SGD (Dherin et al., arXiv 2502.01557).
  case backward
  /// τ+1 … n, then τ … 1: the first τ batches come last and reversed. The same as `backward` while n ≤ τ.
  case tail(Int)
  /// 1 … n−τ, then τ … 1: forward's iterate followed by the first τ batches reversed. The same as `backward` while n
  /// ≤ τ. For every τ the head is forward's own path, so if `forward` is replayed too, an observation costs just τ
  /// updates.
  case splice(Int)
  /// 1 … n−W, then n … n−W+1: the newest W batches are reversed.
  case window(Int)
  /// The previous sequence, then n … n−W+1 (not below 1): every step reuses the last W batches.
  case sliding(Int)
  /// The previous sequence, then n−W+1 … n: the control that separates reuse from reversal.
  case slidingForward(Int)
  /// The first n of 1 … E, E … 1, E+1 … 2E, 2E … E+1, … (FlipFlop; Rajput, Lee, Papailiopoulos 2021).
  case flipflop(Int)
  /// The first n of π_1(1 … E), π_2(E+1 … 2E), …: random reshuffling. Each epoch is a random permutation of its E batches, one drawn for
  /// each epoch, from E and the epoch's number alone, and so the same for all seeds of a run. An iterate inside an epoch may have
  /// batches of all of it, and so beyond n.
  case reshuffled(Int)
  /// The first n of π_1(1 … E), the same backward, π_2(E+1 … 2E), the same backward, …: the epochs of `reshuffled`, each followed by
  /// its reverse (paired reversal, arXiv 2604.00260). `flipflop` is the same with batches in their own order.
  case paired(Int)
  /// The batches 1 … n in a random order, one drawn for each k and n, and so the same for all seeds of a run. Orders k = 1 … K are
  /// independent of each other, and so are the n of one order: their iterates at one n are a sample of all orders of the same
  /// batches. A curve costs as much as `backward`'s.
  case randomOrder(Int)
  /// Blocks of S batches, the newest block first, in forward order inside a block.
  case blocks(Int)
  /// Sequences written by the user, one per iterate.
  case listed(ListedOrder)

  /// The batch sequence of the n-th iterate; n = 0 is the initial state.
  /// - Precondition: 0 ≤ n ≤ `lastIterate`.
  public func sequence(_ n: Int) -> BatchSequence {
    guard n > 0 else { return BatchSequence([]) }
    switch self {
    // A batch alone has one order.
    case .paired(1):
      return CompositionOrder.flipflop(1).sequence(n)
    case .forward, .reshuffled(1):
      return BatchSequence([BatchRun(1, n)])
    case .tail(let size) where n > size:
      return BatchSequence([BatchRun(size + 1, n), BatchRun(size, 1)])
    case .splice(let size) where n > size:
      return BatchSequence([BatchRun(1, n - size), BatchRun(size, 1)])
    case .window(let size) where n > size:
      return BatchSequence([BatchRun(1, n - size), BatchRun(n, n - size + 1)])
    case .backward, .tail, .splice, .window:
      return BatchSequence([BatchRun(n, 1)])
    case .sliding(let size):
      let growing = min(n, size - 1)
      return BatchSequence(progressions: [
        RunProgression(BatchRun(1, 1), firstShift: 1, lastShift: 0, repetitions: growing),
        RunProgression(BatchRun(size, 1), firstShift: 1, lastShift: 1, repetitions: n - growing),
      ])
    case .slidingForward(let size):
      let growing = min(n, size - 1)
      return BatchSequence(progressions: [
        RunProgression(BatchRun(1, 1), firstShift: 0, lastShift: 1, repetitions: growing),
        RunProgression(BatchRun(1, size), firstShift: 1, lastShift: 1, repetitions: n - growing),
      ])
    case .flipflop(let size):
      let (cycles, rest) = n.quotientAndRemainder(dividingBy: 2 * size)
      let first = cycles * size + 1
      let last = first + size - 1
      var progressions = [
        RunProgression(
          BatchRun(1, size), firstShift: size, lastShift: size, repetitions: cycles, isMirrored: true)
      ]
      if rest > 0 { progressions.append(RunProgression(BatchRun(first, first + min(rest, size) - 1))) }
      if rest > size { progressions.append(RunProgression(BatchRun(last, last - (rest - size) + 1))) }
      return BatchSequence(progressions: progressions)
    case .reshuffled(let size):
      return BatchSequence(progressions: [RunProgression(.epochs(size), count: n)])
    case .paired(let size):
      return BatchSequence(progressions: [RunProgression(.pairs(size), count: n)])
    case .randomOrder(let number):
      return BatchSequence(progressions: [RunProgression(.whole(number: number, count: n), count: n)])
    case .blocks(let size):
      let (blocks, rest) = n.quotientAndRemainder(dividingBy: size)
      var progressions: [RunProgression] = []
      if rest > 0 { progressions.append(RunProgression(BatchRun(blocks * size + 1, n))) }
      progressions.append(
        RunProgression(
          BatchRun((blocks - 1) * size + 1, blocks * size), firstShift: -size, lastShift: -size, repetitions: blocks))
      return BatchSequence(progressions: progressions)
    case .listed(let order):
      return order.sequences[n - 1]
    }
  }

  /// The last iterate that the order defines; nil if it defines one for every n.
  public var lastIterate: Int? {
    if case .listed(let order) = self { order.sequences.count } else { nil }
  }
}

/// An order given by a list of batch sequences: iterate n is `sequences[n - 1]`.
public struct ListedOrder: Hashable, Sendable {
  /// The name of the order, such as `file:orders.txt`.
  public let name: String
  public let sequences: [BatchSequence]

  public init(name: String, sequences: [BatchSequence]) {
    self.name = name
    self.sequences = sequences
  }

  /// The sequences as `init(name:text:)` reads them, one line for each iterate.
  public var text: String { sequences.map { "\($0)\n" }.joined() }

  /// Reads a text with one sequence per line, the n-th line for iterate n.
  public init(name: String, text: String) throws(OrderError) {
    self.name = name
    var sequences: [BatchSequence] = []
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    if lines.last?.isEmpty == true { lines.removeLast() }
    for (index, line) in lines.enumerated() {
      do throws(OrderError) {
        sequences.append(try BatchSequence(parsing: line))
      } catch .tooLong {
        throw .tooLongLine(order: name, line: index + 1)
      } catch {
        throw .unreadableLine(order: name, line: index + 1, text: excerpt(String(line), length: 60))
      }
    }
    guard !sequences.isEmpty else { throw .empty(order: name) }
    self.sequences = sequences
  }

  // Within a run a name stands for one file, as it was when the run was made.
  public static func == (a: ListedOrder, b: ListedOrder) -> Bool { a.name == b.name }

  public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

extension CompositionOrder: CustomStringConvertible {
  /// The specification of this order.
  public var description: String {
    switch self {
    case .forward: "forward"
    case .backward: "backward"
    case .tail(let size): "tail:\(size)"
    case .splice(let size): "splice:\(size)"
    case .window(let size): "window:\(size)"
    case .sliding(let size): "sliding:\(size)"
    case .slidingForward(let size): "sliding-forward:\(size)"
    case .flipflop(let size): "flipflop:\(size)"
    case .reshuffled(let size): "reshuffled:\(size)"
    case .paired(let size): "paired:\(size)"
    case .randomOrder(let number): "random-order:\(number)"
    case .blocks(let size): "blocks:\(size)"
    case .listed(let order): order.name
    }
  }

  /// The forms that `init(_:)` reads, and `file:PATH`, which needs the contents of a file.
  public static let forms =
    "forward, backward, tail:τ, splice:τ, window:W, sliding:W, sliding-forward:W, flipflop:E, reshuffled:E, paired:E, random-order:k, blocks:S, file:PATH"

  /// The form of several orders at once, which `specifications(_:)` reads.
  public static let sampleForm = "random-orders:K"

  /// The most orders that `random-orders:K` stands for.
  private static let mostSampled = 1000

  /// The specifications that one stands for: `random-orders:K` for `random-order:1` to `random-order:K`, any other for itself.
  public static func specifications(_ specification: String) throws(OrderError) -> [String] {
    let parts = specification.split(separator: ":", omittingEmptySubsequences: false)
    guard parts[0] == "random-orders" else { return [specification] }
    guard parts.count == 2, let count = Int(parts[1]), (1...mostSampled).contains(count) else { throw .sampleSize(specification, most: mostSampled) }
    return (1...count).map { CompositionOrder.randomOrder($0).description }
  }

  /// Reads a specification such as `backward` or `tail:50`.
  public init(_ specification: String) throws(OrderError) {
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let sized: [String: (Int) -> CompositionOrder] = [
      "tail": CompositionOrder.tail, "splice": CompositionOrder.splice, "window": CompositionOrder.window, "sliding": CompositionOrder.sliding,
      "sliding-forward": CompositionOrder.slidingForward, "flipflop": CompositionOrder.flipflop,
      "reshuffled": CompositionOrder.reshuffled, "paired": CompositionOrder.paired, "random-order": CompositionOrder.randomOrder,
      "blocks": CompositionOrder.blocks,
    ]
    switch (String(parts.first ?? ""), parts.count) {
    case ("forward", 1): self = .forward
    case ("backward", 1): self = .backward
    case (let name, let count):
      guard let make = sized[name] else { throw .unknown(specification) }
      // Sizes have the same limit as batch numbers, so that sums do not overflow.
      guard count == 2, let size = Int(parts[1]), (1...BatchRun.largestBatch).contains(size) else {
        throw .sizeMissing(specification, name: name)
      }
      self = make(size)
    }
  }
}

/// An invalid specification of an order.
public enum OrderError: Error, Equatable, CustomStringConvertible {
  case unknown(String)
  case sizeMissing(String, name: String)
  case sampleSize(String, most: Int)
  case unreadableRun(String)
  case unreadableLine(order: String, line: Int, text: String)
  /// The sequence has more updates than `ReplayPlan.mostUpdates`.
  case tooLong
  case tooLongLine(order: String, line: Int)
  case empty(order: String)

  public var description: String {
    switch self {
    case .unknown(let text):
      "no composition order is called '\(text)'; there are \(CompositionOrder.forms)"
    case .sizeMissing(let text, let name):
      "the order '\(text)' needs a whole number of batches from 1 to \(BatchRun.largestBatch) after the colon, such as '\(name):50'"
    case .sampleSize(let text, let most):
      "'\(text)' needs a whole number of orders from 1 to \(most) after the colon, such as random-orders:10"
    case .unreadableRun(let text):
      "'\(text)' is not a run of batches; write runs such as 120-1 or 1-60,120-61, batches from 1 to \(BatchRun.largestBatch)"
    case .unreadableLine(let order, let line, let text):
      """
      \(order), line \(line): '\(text)' is not a batch sequence; write runs such as 120-1 or 1-60,120-61, batches from 1 to \
      \(BatchRun.largestBatch), an iterate a line
      """
    case .tooLong:
      "a batch sequence has more than \(ReplayPlan.mostUpdates) batches; leave some out"
    case .tooLongLine(let order, let line):
      "\(order), line \(line): the sequence has more than \(ReplayPlan.mostUpdates) batches; leave some out"
    case .empty(let order):
      "\(order) holds no batch sequence; write runs such as 120-1 or 1-60,120-61, an iterate a line"
    }
  }
}
