extension ModelFamily {
  static let resNet18 = resNet("resnet18", blocks: [2, 2, 2, 2], hasBottlenecks: false)
  static let resNet50 = resNet("resnet50", blocks: [3, 4, 6, 3], hasBottlenecks: true)

  /// A residual network (He, Zhang, Ren, Sun 2016) in the form for CIFAR's small images: a 3 × 3 convolution at first,
  /// and no pool after it. All else, names included, is torchvision's: a stride lies in the 3 × 3 convolution of a
  /// bottleneck.
  /// - Parameter blocks: how many each of the four groups has.
  private static func resNet(_ name: String, blocks: [Int], hasBottlenecks: Bool) -> ModelFamily {
    ModelFamily(name: name, form: "\(name)[:WIDTH] (channels of the first group, by default 64)") { options in
      let firstWidth = options.map { Int($0) ?? 0 } ?? 64
      guard (1...4096).contains(firstWidth) else { return nil }
      return (nil, { inputShape, outputs throws(NetworkError) in
        guard inputShape.count == 3 else {
          throw .shape("\(name) needs images of height × width × channels, not examples of shape \(inputShape)")
        }
        var layers = [
          Convolution(firstWidth, size: 3, padding: 1, bias: false).named("conv1"), BatchNormalization().named("bn1"),
          ReLU().named("relu"),
        ]
        var inputs = firstWidth
        for (group, count) in blocks.enumerated() {
          for block in 0..<count {
            let stride = group > 0 && block == 0 ? 2 : 1
            let channels = firstWidth << group
            let width = hasBottlenecks ? 4 * channels : channels
            layers.append(
              Residual(
                hasBottlenecks ? bottleneck(channels, stride: stride) : basicBlock(channels, stride: stride),
                shortcut: stride == 1 && inputs == width ? [] : projection(width, stride: stride), rectified: true
              ).named("layer\(group + 1).\(block)"))
            inputs = width
          }
        }
        return layers + [GlobalAveragePooling().named("avgpool"), Dense(outputs).named("fc")]
      })
    }
  }

  private static func basicBlock(_ channels: Int, stride: Int) -> [NamedLayer] {
    [
      Convolution(channels, size: 3, stride: stride, padding: 1, bias: false).named("conv1"),
      BatchNormalization().named("bn1"), ReLU().named("relu1"),
      Convolution(channels, size: 3, padding: 1, bias: false).named("conv2"), BatchNormalization().named("bn2"),
    ]
  }

  private static func bottleneck(_ channels: Int, stride: Int) -> [NamedLayer] {
    [
      Convolution(channels, size: 1, bias: false).named("conv1"), BatchNormalization().named("bn1"),
      ReLU().named("relu1"),
      Convolution(channels, size: 3, stride: stride, padding: 1, bias: false).named("conv2"),
      BatchNormalization().named("bn2"), ReLU().named("relu2"),
      Convolution(4 * channels, size: 1, bias: false).named("conv3"), BatchNormalization().named("bn3"),
    ]
  }

  private static func projection(_ channels: Int, stride: Int) -> [NamedLayer] {
    [
      Convolution(channels, size: 1, stride: stride, bias: false).named("downsample.0"),
      BatchNormalization().named("downsample.1"),
    ]
  }
}
