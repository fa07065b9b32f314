// What the build files of ports/android call of Gradle 8.14's Kotlin DSL and of the Android and Kotlin plugins, as their
// references have it: to compile against, not to run. Gradle imports these names by itself.

package gradle

import java.io.File

interface Provider<T> {
    fun get(): T
    fun orElse(value: T): Provider<T>
    fun <S> map(change: (T) -> S): Provider<S>
}

interface Property<T> : Provider<T> {
    fun set(value: T)
}

interface Directory {
    fun dir(path: String): Directory
}

interface DirectoryProperty : Property<Directory> {
    fun dir(path: String): Provider<Directory>
}

interface ProjectLayout {
    val buildDirectory: DirectoryProperty
}

interface ProviderFactory {
    fun gradleProperty(name: String): Provider<String>
}

interface Task {
    fun dependsOn(vararg paths: Any): Task
}

interface Copy : Task {
    fun from(vararg paths: Any): Copy
    fun into(folder: Any): Copy
}

interface TaskProvider<T : Task> : Provider<T>

interface TaskContainer {
    fun named(name: String, configure: Task.() -> Unit): TaskProvider<Task>
}

inline fun <reified T : Task> TaskContainer.register(name: String, noinline configure: T.() -> Unit): TaskProvider<T> =
    TODO("$name, ${T::class}, $configure")

interface PluginDependencySpec

interface PluginDependenciesSpec {
    fun id(plugin: String): PluginDependencySpec
}

infix fun PluginDependencySpec.version(version: String): PluginDependencySpec = TODO(version)

infix fun PluginDependencySpec.apply(apply: Boolean): PluginDependencySpec = TODO("$apply")

interface RepositoryHandler {
    fun google(): Any
    fun mavenCentral(): Any
    fun gradlePluginPortal(): Any
}

enum class RepositoriesMode { PREFER_PROJECT, PREFER_SETTINGS, FAIL_ON_PROJECT_REPOS }

interface PluginManagementSpec {
    fun repositories(configure: RepositoryHandler.() -> Unit)
}

interface DependencyResolutionManagement {
    val repositoriesMode: Property<RepositoriesMode>
    fun repositories(configure: RepositoryHandler.() -> Unit)
}

interface ProjectDescriptor {
    var name: String
}

interface Settings {
    val rootProject: ProjectDescriptor
    fun pluginManagement(configure: PluginManagementSpec.() -> Unit)
    fun dependencyResolutionManagement(configure: DependencyResolutionManagement.() -> Unit)
    fun include(vararg paths: String)
}

interface Project {
    val rootProject: Project
    val providers: ProviderFactory
    val layout: ProjectLayout
    val tasks: TaskContainer
    fun file(path: Any): File
    fun plugins(configure: PluginDependenciesSpec.() -> Unit)
    fun dependencies(configure: DependencyHandler.() -> Unit)
}

interface DependencyHandler {
    fun implementation(module: Any): Any
    fun testImplementation(module: Any): Any
    fun androidTestImplementation(module: Any): Any
}

interface AndroidSourceDirectorySet {
    fun srcDir(folder: Any): Any
}

interface AndroidSourceSet {
    val assets: AndroidSourceDirectorySet
}

interface SourceSets {
    fun getByName(name: String): AndroidSourceSet
}

interface AndroidResources {
    val noCompress: MutableCollection<String>
}

interface ApplicationDefaultConfig {
    var applicationId: String?
    var minSdk: Int?
    var targetSdk: Int?
    var versionCode: Int?
    var versionName: String?
    var testInstrumentationRunner: String?
}

interface ApplicationExtension {
    var namespace: String?
    var compileSdk: Int?
    fun defaultConfig(configure: ApplicationDefaultConfig.() -> Unit)
    fun androidResources(configure: AndroidResources.() -> Unit)
    fun sourceSets(configure: SourceSets.() -> Unit)
}

interface KotlinAndroidProjectExtension {
    fun jvmToolchain(version: Int)
}

/** The extension of the plugin com.android.application. */
fun Project.android(configure: ApplicationExtension.() -> Unit): Unit = TODO("$configure")

/** The extension of the plugin org.jetbrains.kotlin.android. */
fun Project.kotlin(configure: KotlinAndroidProjectExtension.() -> Unit): Unit = TODO("$configure")
