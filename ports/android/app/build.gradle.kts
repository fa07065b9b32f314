plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// The bundle that the app reads with: -Plucency.bundle=DIR, else the one that ships with lucency.
val bundle = providers.gradleProperty("lucency.bundle").orElse("../../src/lucency/pretrained/default")
val copiedBundle = layout.buildDirectory.dir("lucency")

val copyBundle = tasks.register<Copy>("copyBundle") {
    from(rootProject.file(bundle.get()))
    into(copiedBundle.map { it.dir("bundle") })
}

tasks.named("preBuild") { dependsOn(copyBundle) }

android {
    namespace = "lucency.app"
    compileSdk = 36

    defaultConfig {
        applicationId = "lucency.app"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
    }

    // Mapped into memory as it is, not unpacked.
    androidResources { noCompress += "tflite" }

    sourceSets {
        getByName("main").assets.srcDir(copiedBundle)
        getByName("androidTest").assets.srcDir(rootProject.file("../contract"))
    }
}

kotlin { jvmToolchain(17) }

dependencies {
    implementation("com.google.ai.edge.litert:litert:2.3.0")
    // The GPU accelerator. Without it the app builds and runs, on the CPU, and says so.
    implementation("com.google.ai.edge.litert:litert-gpu:2.3.0")
    implementation("androidx.activity:activity-ktx:1.11.0")
    implementation("androidx.core:core-ktx:1.17.0")
    implementation("androidx.exifinterface:exifinterface:1.4.1")
    implementation("androidx.camera:camera-camera2:1.5.0")
    implementation("androidx.camera:camera-lifecycle:1.5.0")
    implementation("androidx.camera:camera-view:1.5.0")
    androidTestImplementation("androidx.test.ext:junit:1.3.0")
    androidTestImplementation("androidx.test:runner:1.7.0")
}
