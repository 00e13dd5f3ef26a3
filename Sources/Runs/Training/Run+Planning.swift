import Formats
import Replay
import Tensors

extension Run {
  /// The observed iterates of each seed.
  private func observedIterates(of orders: [CompositionOrder]) throws -> [Int: Set<Iterate>] {
    let places = Dictionary(orders.enumerated().map { (Series.order($1), $0) }) { first, _ in first }
    var observed: [Int: Set<Iterate>] = [:]
    try database.forEachObservation { observation in
      guard let order = places[observation.series] else { return }
      observed[observation.seed, default: []].insert(Iterate(order: order, n: observation.n))
    }
    return observed
  }

  /// The run's orders, then others that earlier rounds, or a longer run, asked for.
  func selectedAndObservedOrders() throws -> [CompositionOrder] {
    let selected = specification.selection.orders
    let others = Set(try database.observedSeries().compactMap(\.order)).subtracting(selected).filter { $0.file == nil }
    return selected + others.sorted { $0.description < $1.description }
  }

  /// Writes the rows of iterates whose states equal those of observed iterates, such as `splice:16` up to n = 16 and
  /// `backward`. None of them is computed again.
  func takeOverEqualIterates(with writer: ObservationWriter) async throws {
    let orders = try selectedAndObservedOrders()
    guard orders.count > 1 else { return }
    let wanted = specification.selection.iterates
    for (seed, known) in try observedIterates(of: orders).sorted(by: { $0.key < $1.key }) {
      let pairs = try EqualIterates(orders: orders).pairs(of: wanted.filter { !known.contains($0) }, among: Array(known))
      for pair in pairs {
        let series = Series.order(orders[pair.known.order])
        guard var observation = try database.observation(seed: seed, series: series, n: pair.known.n) else { continue }
        (observation.series, observation.n) = (.order(orders[pair.wanted.order]), pair.wanted.n)
        try writer.add([observation])
      }
    }
    try await writer.finish()
  }

  /// The plan for what is not observed yet. The checkpoints that it starts from are read and checked first. Those
  /// that can't be read are removed, so that a lane that passes their state stores it anew.
  func planWhatIsLeft(_ listener: TrainingListener) throws -> (ReplayPlan, RunCheckpoints) {
    while true {
      let records = try storedStates()
      let plan = try specification.plan(progress(records))
      let needed = plan.restoredStates.map { records[$0.replica][$0.stored] }
      let unreadable = try unreadable(Set(needed), listener)
      if unreadable.isEmpty {
        let checkpoints = try RunCheckpoints(
          folder, database, seeds: Array(workload.seeds), orders: specification.selection.orders,
          averages: workload.averages.map(\.description), stored: records, needed: needed,
          policy: specification.budgets.checkpoints, budget: specification.budgets.disk,
          makeState: specification.makeState)
        return (plan, checkpoints)
      }
      try folder.giveUp(unreadable, in: database)
    }
  }

  /// The elements of `records` whose states or running averages can't be read.
  private func unreadable(_ records: Set<CheckpointRecord>, _ listener: TrainingListener) throws -> [CheckpointRecord] {
    guard !records.isEmpty else { return [] }
    let all = CheckpointIndex(try database.checkpoints())
    var state = TrainingState(values: try specification.makeState())
    var unreadable: [CheckpointRecord] = []
    for record in records {
      do throws(StorageError) {
        try folder.restore(record, among: all, into: &state)
        for average in record.averages { try folder.restore(average, of: record, into: &state) }
      } catch {
        // A checkpoint that can't be read for now may be intact.
        guard error.isDamage else { throw error }
        listener.didNotice("\(error); going on without it")
        unreadable.append(record)
      }
    }
    return unreadable
  }

  /// The checkpoints on paths of the run's orders, for each seed.
  /// - Throws: `StorageError.damaged` if the state of a row lies on no path.
  package func storedStates() throws -> [[CheckpointRecord]] {
    let orders = Set(specification.selection.orders)
    let records = try database.checkpoints().filter { orders.contains($0.order) }
    for record in records { try check(record) }
    let bySeed = Dictionary(grouping: records, by: \.seed)
    return workload.seeds.map { bySeed[$0] ?? [] }
  }

  /// - Throws: `StorageError.damaged` or `RunError.damaged` if the state of a checkpoint's row lies on no path of the
  ///   run.
  func check(_ record: CheckpointRecord) throws {
    let order = try known(record.order)
    let length = record.n <= order.lastIterate ?? record.n ? order.sequence(record.n).count : 0
    let averageCount = record.averages.count
    guard record.position <= length, averageCount == 0 || averageCount == workload.averages.count else {
      throw StorageError.damaged(
        path: folder.databasePath,
        reason: "the checkpoint \(record.file) lies on no path of the run's, or has other averages than the run")
    }
  }

  /// What the database contains already, for each seed. What has diverged is as good as observed.
  func progress(_ records: [[CheckpointRecord]]) throws -> [ReplicaProgress] {
    let seeds = workload.seeds
    let orders = Dictionary(specification.selection.orders.enumerated().map { ($1, $0) }) { first, _ in first }
    let averages = Dictionary(workload.averages.enumerated().map { ($1, $0) }) { first, _ in first }
    var progress = records.map { records in
      var progress = ReplicaProgress()
      progress.stored = records.map { $0.point(order: orders[$0.order] ?? 0) }
      return progress
    }
    var averaged = Array(repeating: Array(repeating: Set<Int>(), count: averages.count), count: seeds.count)
    try database.forEachObservation { observation in
      let replica = observation.seed - seeds.lowerBound
      switch observation.series {
      case .order(let order):
        if let place = orders[order] { progress[replica].observed.insert(Iterate(order: place, n: observation.n)) }
      case .average(let rule):
        if let place = averages[rule] { averaged[replica][place].insert(observation.n) }
      }
    }
    for iterate in try database.divergences() where seeds.contains(iterate.seed) {
      let replica = iterate.seed - seeds.lowerBound
      if let place = iterate.series.order.flatMap({ orders[$0] }) {
        progress[replica].observed.insert(Iterate(order: place, n: iterate.n))
      }
      if let place = iterate.series.average.flatMap({ averages[$0] }) { averaged[replica][place].insert(iterate.n) }
    }
    for replica in progress.indices {
      progress[replica].averagesObserved = averaged[replica].dropFirst().reduce(averaged[replica].first ?? []) { $0.intersection($1) }
    }
    return progress
  }
}
